"""How far readers of EVENTS beside the recorder are, in KV: the recorder purges nothing that one of them has to read.

``$KV.intents.reader.<name>`` holds ``{"stream": when EVENTS was created, "next": sequence}``.
"""

import json
from dataclasses import dataclass

from common.broker import Broker, Message
from common.subjects import EVENTS_STREAM

_STREAM = "KV_intents"
_PREFIX = "$KV.intents.reader."
#: Readers hold what is recorded while EVENTS has no more than this part of what it may have; intake stops at half.
MOST_HELD = 0.25


@dataclass(frozen=True, slots=True)
class Position:
    """What a reader reads next."""

    created: str
    next: int
    revision: int = 0
    """Guards a change: 0 where there is none yet."""


async def read(broker: Broker, name: str) -> Position | None:
    """A reader's position; None where it has none. Raises BrokerFailure."""
    stored = await broker.last(_STREAM, _PREFIX + name)
    if stored is None:
        return None
    value = json.loads(stored.body)
    return Position(value["stream"], value["next"], stored.sequence)


async def write(broker: Broker, name: str, position: Position) -> Position:
    """Store it, where nobody else has since it was read. Raises BrokerFailure."""
    guard = {"Nats-Expected-Last-Subject-Sequence": str(position.revision)}
    body = json.dumps({"stream": position.created, "next": position.next}).encode()
    revision = await broker.put(Message(_PREFIX + name, body, guard))
    return Position(position.created, position.next, revision)


async def forget(broker: Broker, name: str) -> None:
    """There is no such reader any more. Raises BrokerFailure."""
    await broker.purge(_STREAM, _PREFIX + name)


async def may_go(broker: Broker, recorded: int) -> int:
    """Of what lies before the sequence ``recorded``, up to where it may be purged: readers have read it, or hold more
    than they may. Raises BrokerFailure."""
    positions = [json.loads(stored.body) for stored in await broker.page(_STREAM, {"multi_last": [f"{_PREFIX}>"]})]
    if not positions or min(position["next"] for position in positions) >= recorded:
        return recorded
    info = await broker.api(f"STREAM.INFO.{EVENTS_STREAM}")
    if info["state"]["bytes"] > MOST_HELD * info["config"]["max_bytes"] > 0:
        return recorded
    needed = [int(position["next"]) for position in positions if position["stream"] == info["created"]]
    return min([recorded, *needed])
