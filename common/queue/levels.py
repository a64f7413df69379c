"""How much lies in the queue and for how long, without reading it."""

from dataclasses import dataclass
from datetime import datetime

from common.broker import Broker
from common.subjects import HELD, READY, SCHEDULED, queue_stream

STATES = {"ready": READY, "scheduled": SCHEDULED, "held": HELD}


@dataclass(frozen=True, slots=True)
class Level:
    """Messages on some subjects, and when the oldest was stored (seconds since 1970; 0: there is none)."""

    count: int
    oldest: float


async def of_pool(broker: Broker, pool: str) -> dict[str, Level]:
    """The level of each state. It costs the broker about a millisecond for 2,000 entries.

    Raises what ``Broker.page`` raises.
    """
    return {state: await level(broker, queue_stream(pool), f"{kind}.{pool}.>") for state, kind in STATES.items()}


async def level(broker: Broker, stream: str, filter_: str) -> Level:
    """The level of the subjects of a filter: a batched direct get of one, which tells how many follow (ADR-31)."""
    found = await broker.page(stream, {"seq": 1, "batch": 1, "next_by_subj": filter_})
    if not found:
        return Level(0, 0.0)
    return Level(found[0].following + 1, datetime.fromisoformat(found[0].time).timestamp())
