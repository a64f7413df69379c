"""What lies in the queue, read page by page without a consumer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from common.broker import Broker, Stored
from common.entry import Entry, UnreadableError
from common.queue.finish import HOLD_REASON
from common.queue.schedule import due
from common.subjects import HELD, READY, SCHEDULED, Kind, queue_stream

PAGE = 500


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as it lies there. ``entry`` is None where it cannot be read."""

    kind: Kind
    stored: Stored
    entry: Entry | None
    due: str
    """When a schedule fires, RFC 3339; ``""`` for an entry that is ready."""
    reason: str
    """Why it is held, or what its last try ended with."""

    @property
    def sent_later(self) -> bool:
        """Whether it waits for the time its sender chose, not for another try."""
        return self.kind == SCHEDULED and self.entry is not None and not self.entry.last_reply

    @property
    def id(self) -> str:
        """The delivery's id."""
        *_, submission, number = self.stored.subject.split(".")
        return f"{submission}-{number}"


async def entries(broker: Broker, pool: str, filter_: str | None = None) -> AsyncIterator[Listed]:
    """Every entry on the subjects of ``filter_`` (default: the whole pool), oldest first."""
    filters = [filter_] if filter_ else [f"{kind}.{pool}.>" for kind in (READY, SCHEDULED, HELD)]
    for one in filters:
        async for stored in walk(broker, queue_stream(pool), one):
            yield _listed(stored)


async def walk(broker: Broker, stream: str, filter_: str, sequence: int = 1) -> AsyncIterator[Stored]:
    """Every message of a stream on the subjects of a filter, from a sequence on, a page at a time."""
    while True:
        page = await broker.page(stream, {"seq": sequence, "batch": PAGE, "next_by_subj": filter_})
        for stored in page:
            yield stored
        if not page:
            return
        sequence = page[-1].sequence + 1


def _listed(stored: Stored) -> Listed:
    kind: Kind = stored.subject[0]  # type: ignore[assignment]
    try:
        entry = Entry.unpack(stored.body)
    except UnreadableError:
        entry = None
    reason = stored.headers.get(HOLD_REASON) or (entry.last_reply if entry else "")
    return Listed(kind, stored, entry, due(stored.headers) if kind == SCHEDULED else "", reason)
