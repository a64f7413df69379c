"""Moving entries between ready, scheduled and held, many in one atomic batch; each message guarded by the old one.

What is scheduled or held goes in one step: the new message takes the old one away. What is ready is copied, and
removed when all copies are stored: nats-server lets a message take only schedules away (10212).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from common.broker import Broker, Message, Stored
from common.controls.control import Control
from common.entry import Entry, UnreadableError
from common.queue.hold import hold_headers, one_line
from common.queue.schedule import due, schedule_headers
from common.subjects import HELD, READY, SCHEDULED, as_kind

#: Headers of what an order holds: its id, since when (seconds since 1970), and when the next try was to be (RFC 3339).
ORDER, PAUSED, DUE = "Postjet-Order", "Postjet-Paused", "Postjet-Due"

#: Messages and bytes of one atomic batch: nats-server's default limit, and it holds a batch in memory.
BATCH, BATCH_BYTES = 1000, 4 * 2**20


def readable(body: bytes) -> Entry | None:
    """The entry, if it can be read."""
    try:
        return Entry.unpack(body)
    except UnreadableError:
        return None


def order_of(stored: Stored) -> str:
    """The id of the order that holds an entry; ``""`` where none does."""
    return stored.headers.get(ORDER, "")


def to_held(stored: Stored, entry: Entry | None, order: Control, reason: str) -> Message:
    """An entry as the order holds it. Its content stays where it is.

    Time paused counts from the order, for mail that came or comes due later from then.
    """
    since = max(order.since, entry.waits_since) if entry else order.since
    headers = {
        **hold_headers(stored.subject, reason),
        ORDER: order.id,
        PAUSED: stored.headers.get(PAUSED) or f"{since:.3f}",
    }
    if at := stored.headers.get(DUE) or _due(stored):
        headers[DUE] = at
    return Message(as_kind(HELD, stored.subject), stored.body, headers | _instead_of(stored, HELD))


def hold_reason(order: Control) -> str:
    """What an order's held entries say of themselves."""
    return one_line(str(order))


def back(stored: Stored, now: float) -> Message:
    """An entry as it goes on: at once, or when its next try was to be. Time paused counts not towards expiry."""
    body = stored.body
    if paused := stored.headers.get(PAUSED):
        body = Entry.postpone(body, max(0.0, now - float(paused)))
    at = stored.headers.get(DUE, "")
    if not at or datetime.fromisoformat(at).timestamp() <= now:
        return Message(as_kind(READY, stored.subject), body, _instead_of(stored, READY))
    headers = schedule_headers(as_kind(READY, stored.subject), at)
    return Message(as_kind(SCHEDULED, stored.subject), body, headers | _instead_of(stored, SCHEDULED))


def to_ready(stored: Stored) -> Message:
    """An entry as it goes on at once; an older copy of it goes."""
    headers = {"Nats-Rollup": "sub", **_instead_of(stored, READY)}
    return Message(as_kind(READY, stored.subject), stored.body, headers)


async def put_all(broker: Broker, messages: Iterable[Message]) -> None:
    """Store them, in atomic batches of what one may hold. Raises what ``Broker.put_batch`` raises."""
    for batch in batches(messages):
        if len(batch) == 1:
            await broker.put(batch[0])
        else:
            await broker.put_batch(batch)


def batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """In pieces of what one atomic batch may hold."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == BATCH or size + len(message.body) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += len(message.body)
    if batch:
        yield batch


def _due(stored: Stored) -> str:
    return due(stored.headers) if stored.subject.startswith(SCHEDULED) else ""


def _instead_of(stored: Stored, kind: str) -> dict[str, str]:
    """Only while the old message is there as it was read; one that is a schedule goes with it (ADR-51)."""
    headers = {
        "Nats-Expected-Last-Subject-Sequence": str(stored.sequence),
        "Nats-Expected-Last-Subject-Sequence-Subject": stored.subject,
    }
    if stored.subject[0] not in (READY, kind):
        headers |= {"Nats-Scheduler": stored.subject, "Nats-Schedule-Next": "purge"}
    return headers
