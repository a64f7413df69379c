"""How much happens for whom, asked of the database: outcomes per second in the last seconds."""

from dataclasses import dataclass, field
from typing import Any

from events.store import NoTableError, Store

#: Outcomes of deliveries, in the order they are shown.
OUTCOMES = ("delivered", "deferred", "bounced", "expired")
#: Seconds until a row that happened is recorded, as a rule; younger ones are left out.
LAG = 1.5
_COUNTS = ", ".join(f"countIf(type = '{outcome}') AS {outcome}" for outcome in OUTCOMES)
_WHEN = "time >= fromUnixTimestamp64Milli({since:Int64}) AND time < fromUnixTimestamp64Milli({until:Int64})"
_DELIVERIES = f"type IN {OUTCOMES} AND {_WHEN}"
_DOMAINS = f"""SELECT pool, domain, {_COUNTS} FROM events WHERE {_DELIVERIES}
               GROUP BY pool, domain ORDER BY count() DESC, pool, domain LIMIT {{limit:UInt32}}"""
_POOLS = f"""SELECT pool, sum(length(recipients)) AS accepted, {_COUNTS} FROM events
             WHERE type IN {("accepted", *OUTCOMES)} AND {_WHEN} GROUP BY pool"""


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second: by pool ``accepted`` (recipients) and the outcomes, by pool and domain the outcomes."""

    pools: dict[str, dict[str, float]] = field(default_factory=dict)
    domains: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    """The busiest first."""


def ask(store: Store, now: float, window: float, limit: int) -> Rates:
    """Rates of ``window`` seconds up to LAG before ``now`` (since 1970), of at most ``limit`` domains.

    Raises NotReachableError, RefusedError.
    """
    until = now - LAG
    parameters = {"since": int((until - window) * 1000), "until": int(until * 1000), "limit": limit}
    try:
        pools, domains = store.query(_POOLS, parameters), store.query(_DOMAINS, parameters)
    except NoTableError:
        return Rates()
    return Rates(
        {row["pool"]: _per_second(row, ("accepted", *OUTCOMES), window) for row in pools},
        {(row["pool"], row["domain"]): _per_second(row, OUTCOMES, window) for row in domains},
    )


def _per_second(row: dict[str, Any], names: tuple[str, ...], window: float) -> dict[str, float]:
    return {name: round(row[name] / window, 3) for name in names}
