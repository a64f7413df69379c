"""How far the work on an order is, ``$KV.moves.<order>``; and the rows that tell of it."""

import json
import time
from dataclasses import asdict, dataclass

from common.broker import Broker, Message, Stored, with_id
from common.controls.control import Action, Control
from common.entry import Entry
from common.event import Event, Status, Type, pack
from common.ids import derived_id
from common.subjects import Kind, events

_STREAM = "KV_moves"


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
    range: tuple[str, Kind, int, int] | None = None
    """Pool, kind, first and last sequence of the page being moved."""


async def read(broker: Broker, order: Control) -> Progress:
    """How far it is. Raises what the broker raises."""
    stored = await broker.last(_STREAM, _subject(order))
    if stored is None:
        return Progress()
    values = json.loads(stored.body)
    return Progress(**values | {"range": tuple(values["range"]) if values["range"] else None})


def stored(order: Control, progress: Progress) -> Message:
    """The message that says so."""
    return Message(_subject(order), json.dumps(asdict(progress)).encode())


def _subject(order: Control) -> str:
    return f"$KV.moves.{order.id}"


def delivery_of(stored: Stored) -> str:
    """A delivery's id, also where the entry cannot be read."""
    *_, submission, number = stored.subject.split(".")
    return f"{submission}-{number}"


def row(order: Control, pool: str, stored: Stored, entry: Entry | None) -> Event:
    """What an order does with an entry; its id is always the same."""
    if order.released:
        type_, status, reason = Type.RESUMED, Status.NONE, "resumed"
        text = f"resumed by {order.ended_by}" if order.ended_by else "its time is over"
        text = f"{text}; {order}"
    elif order.action is Action.PAUSE:
        type_, status, reason, text = Type.DEFERRED, Status.DEFERRED, "paused", str(order)
    else:
        type_, status, reason, text = Type.STOPPED, Status.UNDELIVERABLE, "stopped", str(order)
    delivery, now = delivery_of(stored), time.time()
    event = Event(
        time=now, type=type_, status=status, reason=reason, text=text, pool=pool,
        id=derived_id(order.since, f"{order.id}.{type_}.{delivery}"),
        submission=delivery.rpartition("-")[0], delivery=delivery,
    )  # fmt: skip
    if entry:
        event.sender, event.recipient, event.domain = entry.sender, entry.recipient, entry.domain
        event.campaign, event.tags, event.meta = entry.campaign, entry.tags, entry.meta
        event.message_id, event.size, event.priority = entry.message_id, entry.size, entry.priority
        event.interface, event.client_address, event.attempt = entry.interface, entry.client_address, entry.attempts
        event.enhanced_code = "5.7.0" if type_ is Type.STOPPED else ""
        event.time_total = max(0.0, now - entry.waits_since)
    return event


def told(order: Control, what: str, by: str, count: int) -> Message:
    """The message with the row of an order: who, why and how many; the same however often it is made."""
    identifier = f"{order.id}.{what}"
    event = Event(
        time=time.time(), type=Type.ADMIN, id=derived_id(order.since, identifier), reason=what, count=count,
        pool=order.match.pool, campaign=order.match.campaign,
        text=f"{order.action} {order.match} by {by}: {order.reason}",
    )  # fmt: skip
    return with_id(events(order.match.pool or "default"), pack([event]), identifier)
