"""How much lies in the queue and for how long, without reading it."""

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime

from common.broker import Broker, BrokerError, NoBrokerError
from common.subjects import HELD, READY, SCHEDULED, queue_stream

STATES = {"ready": READY, "scheduled": SCHEDULED, "held": HELD}


@dataclass(frozen=True, slots=True)
class Level:
    """Messages on some subjects, and when the oldest was stored (seconds since 1970; 0: there is none)."""

    count: int
    oldest: float


async def of_pool(broker: Broker, pool: str) -> dict[str, Level]:
    """The level of each state. It costs the broker about a millisecond for 2,000 entries.

    Raises what ``Broker.replies`` raises, and BrokerError.
    """
    return {state: await level(broker, queue_stream(pool), f"{kind}.{pool}.>") for state, kind in STATES.items()}


async def level(broker: Broker, stream: str, filter_: str) -> Level:
    """The level of the subjects of a filter: a batched direct get of one, which tells how many follow (ADR-31)."""
    query = {"seq": 1, "batch": 1, "next_by_subj": filter_}
    answers = broker.replies(f"$JS.API.DIRECT.GET.{stream}", json.dumps(query).encode())
    async with contextlib.aclosing(answers):
        headers = (await anext(answers)).headers or {}
    if "Nats-Sequence" in headers:
        oldest = datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp()
        return Level(int(headers["Nats-Num-Pending"]) + 1, oldest)
    status = headers.get("Status", "")
    if status == "404":
        return Level(0, 0.0)
    if status == "503":
        raise NoBrokerError("direct get: no responders")
    raise BrokerError(int(status or 0), headers.get("Description", "direct get refused"))
