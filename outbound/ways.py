"""Where a mail goes and how: route, source address, policy, and what replies have brought upon them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from common.entry import Entry
from common.policies.holds import Hold, Holds
from common.policies.policies import Policies
from common.policies.policy import DEFAULT, Policy
from common.sockets import is_local
from outbound.pace import Pace, pace
from outbound.routing import Route, Router

#: What holds for a domain's mail over a route (None: it has none yet), a pool and a source address ("": any).
PolicyOf = Callable[[str, Route | None, str, str], Policy]
#: Ways kept ready.
MAX_CACHE = 10_000


def from_rules(policies: Policies) -> PolicyOf:
    """What the rules in force say."""

    def policy_of(domain: str, route: Route | None, pool: str, source: str) -> Policy:
        if route is None:
            return policies.policy(domain, (), "", pool, source)
        return policies.policy(domain, route.names, route.key, pool, source)

    return policy_of


@dataclass(frozen=True, slots=True)
class Way:
    """One mail's way. Another one is made when a rule or a hold changes."""

    route: Route
    policy: Policy
    pace: Pace
    source: str = ""
    """The address that its connections come from; ``""``: the system chooses."""
    suspended: Hold | None = None
    """Nothing goes this way before its end."""
    rules: Policy | None = None
    """``policy`` without holds."""
    revision: int = 0

    @property
    def wait(self) -> float:
        """Seconds for which it is suspended."""
        return max(0.0, self.suspended.until - time.time()) if self.suspended else 0.0


class Ways:
    """The ways of a pool's mail. ``sources``: the addresses of ours that it comes from, in turn.

    ``expire``: the seconds that mail was given when it was accepted, ``[delivery] expire``.
    """

    def __init__(
        self,
        policy_of: PolicyOf,
        holds: Holds,
        router: Router,
        pool: str,
        sources: Sequence[str] = (),
        expire: float = DEFAULT.expire,
    ) -> None:
        self._policy_of, self._holds, self._router, self._pool = policy_of, holds, router, pool
        self._expire = expire
        self._sources = tuple(sources)
        self._mixed = len({":" in source for source in sources}) == 2
        self._turn = 0
        self._ways: dict[tuple[str, str, str], Way] = {}

    def policy(self, domain: str, source: str = "") -> Policy:
        """What holds for a domain's mail that has no way yet."""
        return self._policy_of(domain, None, self._pool, source)

    def expires(self, entry: Entry, policy: Policy) -> float:
        """When mail under a policy is given up, seconds since 1970."""
        return entry.expires + policy.expire - self._expire

    async def find(self, domain: str) -> Way:
        """The way of the next mail to a domain. Raises DeliveryFailure."""
        route = await self._router.route(domain)
        if not self._sources:
            return self.way(domain, route, "")
        sources = self._sources
        if self._mixed:  # one of a family that the site has
            families = {":" in target.address for target in await self._router.targets(route)}
            sources = tuple(source for source in sources if (":" in source) in families) or sources
        self._turn += 1
        turn = self._turn % len(sources)
        ways = [self.way(domain, route, source) for source in sources[turn:] + sources[:turn]]
        there = [way for way in ways if is_local(way.source)] or ways[:1]
        return min(there, key=lambda way: way.wait)  # the first of those that are not suspended

    def way(self, domain: str, route: Route, source: str) -> Way:
        """The way over a route, as it is now; the same object as long as nothing changed."""
        key = domain, route.key, source
        rules = self._policy_of(domain, route, self._pool, source)
        known = self._ways.get(key)
        if known and known.rules is rules and known.revision == self._holds.revision:
            return known
        if len(self._ways) >= MAX_CACHE:
            self._ways.clear()
        self._ways[key] = way = self._make(domain, route, source, rules)
        return way

    def _make(self, domain: str, route: Route, source: str, rules: Policy) -> Way:
        holds = self._holds.of(keys(domain, route.key, rules.provider, source))
        limits = rules.limits + tuple(limit for hold in holds if (limit := hold.limit))
        policy = replace(rules, limits=limits) if limits != rules.limits else rules
        for hold in holds:
            if hold.action == "messages_per_connection" and hold.amount < policy.messages_per_connection:
                origins = {**policy.origins, hold.action: hold.by}
                policy = replace(policy, messages_per_connection=hold.amount, origins=origins)
        suspended = max((hold for hold in holds if hold.action == "suspend"), key=_end, default=None)
        return Way(route, policy, pace(policy.limits), source, suspended, rules, self._holds.revision)


def keys(domain: str, site: str, provider: str, source: str) -> list[str]:
    """What a hold on this way may be on, as ``Limit.key`` writes it."""
    places = [f"domain:{domain}", f"site:{site}", *([f"provider:{provider}"] if provider else [])]
    if not source:
        return places
    return [*places, *(f"{place}|source:{source}" for place in places), f"source:{source}"]


def _end(hold: Hold) -> float:
    return hold.until
