"""The limits of a policy, sorted by what they are asked for."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from common.limits.limit import Limit, What


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
