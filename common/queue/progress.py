"""How far the work on an order is, ``$KV.moves.<order>``; and the rows that tell of it."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from common.broker import Broker, Message, Stored
from common.controls.control import Action, Control
from common.entry import TOLD, Entry
from common.event import Event, Status, Type
from common.ids import derived_id, derived_ids
from common.queue.rows import message as rows_message
from common.subjects import Kind

_STREAM = "KV_moves"


@dataclass(slots=True)
class Stretch:
    """Pages that follow one another, and what they leave behind is removed at one go."""

    pool: str
    kind: Kind
    first: int
    """Sequence of the first entry."""
    pages: list[tuple[int, int, int, str]] = field(default_factory=list)
    """First and last sequence of each page, how many deliveries are told of, and the id of the first of their rows."""
    busy: list[str] = field(default_factory=list)
    """Deliveries that are not told of: they were on their way when it began."""


@dataclass(slots=True)
class Progress:
    """As it is stored. Counts are deliveries."""

    moved: int = 0
    """Held or stopped."""
    returned: int = 0
    left: int = 0
    """On the subjects of the filter that is gone through."""
    done: bool = False
    """What was there when the order came is moved."""
    over: bool = False
    """The order has ended, and what it held is on its way again."""
    stretch: Stretch | None = None
    """What is being moved."""


class Found(NamedTuple):
    """An entry that an order is about."""

    stored: Stored
    entry: Entry | None
    """None: it cannot be read."""
    delivery: str


async def read(broker: Broker, order: Control) -> Progress:
    """How far it is. Raises what the broker raises."""
    stored = await broker.last(_STREAM, _subject(order))
    if stored is None:
        return Progress()
    values = json.loads(stored.body)
    return Progress(**values | {"stretch": Stretch(**values["stretch"]) if values["stretch"] else None})


def stored(order: Control, progress: Progress) -> Message:
    """The message that says so."""
    return Message(_subject(order), json.dumps(asdict(progress)).encode())


def _subject(order: Control) -> str:
    return f"$KV.moves.{order.id}"


def delivery_of(stored: Stored) -> str:
    """A delivery's id, also where the entry cannot be read."""
    _, submission, number = stored.subject.rsplit(".", 2)
    return f"{submission}-{number}"


def rows(order: Control, pool: str, found: Sequence[Found], first: str = "") -> dict[str, list[Any]]:
    """What an order does with entries, as columns of ``EVENTS``; the ids of the rows are always the same.

    ``first``: the id of the first row, where some of the entries that were told of before a crash have gone.
    """
    type_, status, reason, text = _what(order)
    count, now = len(found), time.time()
    entries = [one.entry or _UNKNOWN for one in found]
    deliveries = [one.delivery for one in found]
    ids = derived_ids(order.since, [f"{order.id}.{type_}.{delivery}" for delivery in deliveries])
    same = {"time": now, "type": type_, "status": status, "reason": reason, "text": text, "pool": pool}
    if type_ is Type.STOPPED:
        same |= {"enhanced_code": "5.7.0", "bounce_class": "stopped", "bounce_type": "soft"}
    return {
        **{name: [value] * count for name, value in same.items()},
        **{name: [getattr(entry, name) for entry in entries] for name in TOLD},
        "id": [first or ids[0], *ids[1:]],
        "submission": [delivery.rpartition("-")[0] for delivery in deliveries],
        "delivery": deliveries,
        "attempt": [entry.attempts for entry in entries],
        "time_total": [max(0.0, now - entry.waits_since) for entry in entries],
    }


def _what(order: Control) -> tuple[Type, Status, str, str]:
    """Type, status, reason and text of its rows."""
    if order.released:
        text = f"resumed by {order.ended_by}" if order.ended_by else "its time is over"
        return Type.RESUMED, Status.NONE, "resumed", f"{text}; {order}"
    if order.action is Action.PAUSE:
        return Type.DEFERRED, Status.DEFERRED, "paused", str(order)
    return Type.STOPPED, Status.UNDELIVERABLE, "stopped", str(order)


#: One of which nothing is known.
_UNKNOWN = Entry(
    submission="", number=0, sender="", recipient="", domain="", accepted=math.inf, expires=0, size=0, content=None,
    priority=0,
)  # fmt: skip


def told(order: Control, what: str, by: str, count: int) -> Message:
    """The message with the row of an order: who, why and how many; the same however often it is made."""
    identifier = f"{order.id}.{what}"
    event = Event(
        time=time.time(), type=Type.ADMIN, id=derived_id(order.since, identifier), reason=what, count=count,
        pool=order.match.pool, campaign=order.match.campaign,
        text=f"{order.action} {order.match} by {by}: {order.reason}",
    )  # fmt: skip
    return rows_message(order.match.pool or "default", [event])
