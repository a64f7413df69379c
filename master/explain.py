"""What is known of a domain's mail: where it goes, under which rules, and what workers say of it."""

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from common.broker import Broker
from common.config import Config
from common.limits.limit import Limit
from common.policies.holds import Hold, Holds
from common.policies.policies import Policies
from common.policies.policy import Policy
from common.queue import levels, listing
from common.queue.summary import By, Group, summarise
from common.subjects import HELD, READY, SCHEDULED, domain, queue_stream
from common.workers import Question, Said, ask
from outbound.failure import DeliveryFailure
from outbound.resolver import Resolver
from outbound.routing import Route, Router
from outbound.sources import reach
from outbound.ways import Way, Ways, from_rules, keys

#: Entries up to which a domain's mail is read and counted one by one; a second reads about 20,000.
MAX_READ = 20_000


@dataclass(frozen=True, slots=True)
class Host:
    """An MX host, and the addresses that are tried."""

    preference: int
    name: str
    addresses: tuple[str, ...] = ()


@dataclass(slots=True)
class Known:
    """Filled in as far as the parts answer."""

    config: Config
    domain: str
    pool: str
    policy: Policy
    """Of the first source address; without a route what holds for all mail."""
    route: Route | None = None
    hosts: list[Host] = field(default_factory=list)
    failure: DeliveryFailure | None = None
    """What a worker would find before it connects to anybody."""
    ways: list[Way] = field(default_factory=list)
    """One for each source address of the pool."""
    holds: list[Hold] = field(default_factory=list)
    said: Said = field(default_factory=Said)
    queued: Group | None = None
    exact: bool = True
    """``queued`` was counted; else it has also mail to others, and ``scheduled`` is among ``deferred``."""
    missing: str = ""
    """Why broker and workers could not be asked: what they know is not there."""

    @property
    def ehlo(self) -> str:
        """What the pool says in EHLO."""
        return self.config.pools[self.pool].ehlo or self.config.hostname

    @property
    def limits(self) -> list[Limit]:
        """All that apply, those of holds too."""
        return list(dict.fromkeys(limit for way in self.ways for limit in way.policy.limits))


async def find(config: Config, file: Path | None, of: str, pool: str, broker: Broker | None) -> Known:
    """All that can be known of a domain (lower-case A-labels). Raises ConfigError, BrokerFailure."""
    policies, holds = Policies.load(config, file), Holds()
    if broker:
        await policies.look(broker)
        await holds.look(broker)
    router = Router(config, Resolver(config.dns.nameservers))
    sources = config.pools[pool].source_addresses
    ways = Ways(from_rules(policies), holds, router, pool, sources)
    known = Known(config, of, pool, ways.policy(of))
    try:
        known.route = route = await router.route(of)
        known.hosts = [Host(*record) for record in route.hosts]
        known.ways = [ways.way(of, route, source) for source in sources or [""]]
        known.policy = known.ways[0].policy
        known.hosts = await _hosts(router, known)
    except DeliveryFailure as failure:
        known.failure = failure
    if broker:
        places = dict.fromkeys(place for way in known.ways for place in _places(known, way))
        known.holds = holds.of(places)
        known.said = await ask(broker, Question(known.route.key if known.route else of, of, tuple(known.limits)))
        await _count(broker, known)
    return known


def _places(known: Known, way: Way) -> list[str]:
    return keys(known.domain, way.route.key, way.policy.provider, way.source)


async def _hosts(router: Router, known: Known) -> list[Host]:
    """The hosts with the addresses that are tried, as the first source address reaches them. Raises DeliveryFailure."""
    way = known.ways[0]
    targets = await router.targets(way.route, way.policy.ip_family)
    failures = []
    for one in known.ways:
        try:
            reach(targets, one.source)
        except DeliveryFailure as failure:
            failures.append(failure)
    if len(failures) == len(known.ways):
        raise failures[0]
    targets.sort(key=lambda target: target.host)
    found = {
        host: tuple(sorted(target.address for target in group))
        for host, group in groupby(targets, key=lambda target: target.host)
    }
    return [Host(host.preference, host.name, found.get(host.name, ())) for host in known.hosts]


async def _count(broker: Broker, known: Known) -> None:
    """How much is queued for the domain."""
    stream = queue_stream(known.pool)
    level = {
        kind: await levels.level(broker, stream, domain(known.pool, known.domain, kind))
        for kind in (READY, SCHEDULED, HELD)
    }
    if sum(one.count for one in level.values()) > MAX_READ:
        ready, scheduled, held = (level[kind].count for kind in (READY, SCHEDULED, HELD))
        known.queued, known.exact = Group(ready=ready, deferred=scheduled, held=held), False
        return
    entries = listing.entries(broker, known.pool, domain(known.pool, known.domain))
    known.queued = (await summarise(entries, By.DOMAIN)).get(known.domain, Group())
