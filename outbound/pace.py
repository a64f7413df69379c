"""The policy for a mail and its limits, sorted by what they are asked for."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from common.config import Delivery
from common.limits.limit import Limit, What
from common.policies.policy import Policy
from outbound.routing import Route

#: What holds for a domain's mail over a route (None: it has none yet), a pool and a source address ("": any).
PolicyOf = Callable[[str, Route | None, str, str], Policy]


def from_delivery(delivery: Delivery) -> PolicyOf:
    """Policies that say what ``[delivery]`` says, for everybody the same."""

    @functools.lru_cache(10_000)
    def of_site(key: str) -> Policy:
        limit = Limit(f"site:{key}", What.CONNECTIONS, delivery.connections, origin="[delivery]")
        return Policy(
            limits=(limit,) if key else (),
            messages_per_connection=delivery.messages_per_connection,
            connect_timeout=delivery.connect_timeout,
            command_timeout=delivery.command_timeout,
            site_down=delivery.site_down,
            retry_first=delivery.retry_first,
            retry_factor=delivery.retry_factor,
            retry_max=delivery.retry_max,
            retry_jitter=delivery.retry_jitter,
            max_attempts=delivery.max_attempts,
            tls=delivery.tls,
        )

    return lambda _domain, route, _pool, _source: of_site(route.key if route else "")


@dataclass(frozen=True, slots=True)
class Pace:
    """The limits of a policy; of several for the same the tightest."""

    connections: tuple[Limit, ...] = ()
    connects: tuple[Limit, ...] = ()
    messages: tuple[Limit, ...] = ()
    ahead: int = 0
    """How many may wait for tokens at the same time, each on a connection."""


@functools.lru_cache(20_000)
def pace(limits: tuple[Limit, ...]) -> Pace:
    """Sort limits."""
    tightest: dict[tuple[str, What, float], Limit] = {}
    for limit in sorted(limits, key=lambda limit: limit.amount, reverse=True):
        tightest[limit.key, limit.what, limit.per] = limit
    by = {what: tuple(limit for limit in tightest.values() if limit.what is what) for what in What}
    rates = by[What.MESSAGES] + by[What.CONNECTS]
    return Pace(by[What.CONNECTIONS], by[What.CONNECTS], by[What.MESSAGES], _ahead(rates))


def _ahead(rates: Iterable[Limit]) -> int:
    """Two bursts of the slowest: enough that the next token has somebody who waits for it."""
    return min((2 * max(1, limit.amount // 20) for limit in rates), default=0)


class Way(NamedTuple):
    """Where a mail goes, and how."""

    route: Route
    policy: Policy
    pace: Pace
