"""What is known of a domain's mail: where it goes, under which rules, and what workers say of it."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from common.broker import Broker
from common.config import Config
from common.controls import store
from common.controls.control import Control
from common.limits.limit import Limit
from common.policies.holds import Hold, Holds
from common.policies.policies import Policies
from common.policies.policy import Policy
from common.queue import levels, listing
from common.queue.listing import Listed
from common.queue.moving import order_of
from common.queue.summary import By, Group, summarise
from common.subjects import HELD, READY, SCHEDULED, domain, queue_stream
from common.workers import Question, Said, ask
from outbound.failure import DeliveryFailure
from outbound.resolver import Resolver
from outbound.routing import Route, Router
from outbound.sources import reach
from outbound.ways import Ways, from_rules, keys

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
    policies: dict[str, Policy]
    """Of each source address of the pool (``""``: any); without a route what holds wherever the domain's mail goes."""
    route: Route | None = None
    hosts: list[Host] = field(default_factory=list)
    failure: DeliveryFailure | None = None
    """What a worker would find before it connects to anybody."""
    holds: list[Hold] = field(default_factory=list)
    orders: list[Control] = field(default_factory=list)
    """Those that some of the domain's mail may be under."""
    ordered: Counter[str] = field(default_factory=Counter)
    """How many of its deliveries each order holds, by the order's id, where they were counted."""
    said: Said = field(default_factory=Said)
    queued: Group | None = None
    exact: bool = True
    """``queued`` was counted; else it has also mail to others, and ``scheduled`` is among ``deferred``."""
    missing: str = ""
    """Why broker and workers could not be asked: what they know is not there."""

    @property
    def policy(self) -> Policy:
        """Of the first source address."""
        return next(iter(self.policies.values()))

    @property
    def ehlo(self) -> str:
        """What the pool says in EHLO."""
        return self.config.pools[self.pool].ehlo or self.config.hostname

    @property
    def limits(self) -> list[Limit]:
        """All that apply, those of holds too."""
        return list(dict.fromkeys(limit for policy in self.policies.values() for limit in policy.limits))


async def find(config: Config, file: Path | None, of: str, pool: str, broker: Broker | None) -> Known:
    """All that can be known of a domain (lower-case A-labels). Raises ConfigError, BrokerFailure."""
    policies, holds = Policies.load(config, file), Holds()
    if broker:
        await policies.look(broker)
        await holds.look(broker)
    router = Router(config, Resolver(config.dns.nameservers))
    sources = config.pools[pool].source_addresses or [""]
    ways = Ways(from_rules(policies), holds, router, pool, sources)
    known = Known(config, of, pool, {source: ways.policy(of, source) for source in sources})
    try:
        known.route = route = await router.route(of)
        known.hosts = [Host(*record) for record in route.hosts]
        known.policies = {source: ways.way(of, route, source).policy for source in sources}
        known.hosts = await _hosts(router, known, route)
    except DeliveryFailure as failure:
        known.failure = failure
    if broker:
        site = known.route.key if known.route else ""
        places = [keys(of, site, policy.provider, source) for source, policy in known.policies.items()]
        known.holds = holds.of(dict.fromkeys(place for own in places for place in own))
        known.orders = [order for order in await store.read(broker) if _may_cover(order, known)]
        known.said = await ask(broker, Question(site or of, of, tuple(known.limits)))
        await _count(broker, known)
    return known


def _may_cover(order: Control, known: Known) -> bool:
    return order.match.domain in ("", known.domain) and order.match.pool in ("", known.pool)


async def _hosts(router: Router, known: Known, route: Route) -> list[Host]:
    """The hosts with the addresses that are tried, as the first source address reaches them. Raises DeliveryFailure."""
    targets = await router.targets(route, known.policy.ip_family)
    failures = []
    for source in known.policies:
        try:
            reach(targets, source)
        except DeliveryFailure as failure:
            failures.append(failure)
    if len(failures) == len(known.policies):
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
    entries = _ordered(listing.entries(broker, known.pool, domain(known.pool, known.domain)), known)
    known.queued = (await summarise(entries, By.DOMAIN)).get(known.domain, Group())


async def _ordered(entries: AsyncIterator[Listed], known: Known) -> AsyncIterator[Listed]:
    """The entries; those of the domain that an order holds are counted on the way."""
    async for listed in entries:
        if (order := order_of(listed.stored)) and listed.entry and listed.entry.domain == known.domain:
            known.ordered[order] += 1
        yield listed
