"""Status reports in the queue: entries like any other, from the null sender to the sender of what they are about.

A report's id comes from the delivery's, so that whoever tells of that delivery again, after a crash, makes the
same entry: it is stored once, and as long as it is there the delivery counts as ended. Reports on a delay have ids
of their own: the delivery goes on.
"""

from enum import StrEnum

from common.broker import Broker, Message, with_id
from common.content import store
from common.entry import Entry
from common.event import Event, Type
from common.ids import report_id
from common.queue.rows import message as rows_message
from common.subjects import READY, queue_stream
from common.subjects import entry as entry_subject

INTERFACE = "report"
#: The interface of what came back and goes on to the sender of the mail it is about (``dsn.passing_on``).
FEEDBACK = "feedback"
#: The key of ``meta`` that names, in every event of a report, the delivery it is about.
ABOUT = "report_of"
#: And the key that names its kind, where that is not the delivery's end.
KIND = "report_kind"


class Kind(StrEnum):
    """What a report tells of. Of each there is one at most for a delivery."""

    END = ""
    """It failed, or it was passed on to a server that reports nothing."""
    DELAY = "delay"
    """It takes long, and NOTIFY=DELAY asked to be told so (RFC 3461 4.1)."""
    DELIVER_BY = "deliver-by"
    """The time that BY gave is over (RFC 2852)."""


def report_on(
    entry: Entry, message: bytes, message_id: str, now: float, expires: float, kind: Kind = Kind.END
) -> Entry:
    """The entry of a report on a delivery, whose sender must not be null. Times are seconds since 1970."""
    return _bare(entry, kind).but(
        accepted=now, expires=expires, size=len(message), content=store(message), message_id=message_id
    )


async def find(broker: Broker, entry: Entry) -> Entry | None:
    """The report on a delivery's end, if it lies in the queue in any state. Raises what the broker raises."""
    if not entry.sender:
        return None
    found = await broker.last(queue_stream(entry.pool), _every_kind(_bare(entry)))
    return Entry.unpack(found.body) if found else None


def stored(report: Entry) -> Message:
    """The message with a report's entry, which the broker refuses where that lies in the queue in any state."""
    guard = {
        "Nats-Expected-Last-Subject-Sequence": "0",
        "Nats-Expected-Last-Subject-Sequence-Subject": _every_kind(report),
    }
    return with_id(entry_subject(READY, report), report.pack(), report.id, **guard)


def accepted(report: Entry) -> Message:
    """The message with a report's ``accepted`` row; the same row however often it is made."""
    row = Event(
        time=report.accepted, type=Type.ACCEPTED, id=report.submission, submission=report.submission,
        pool=report.pool, recipients=(report.recipient,), meta=report.meta, message_id=report.message_id,
        size=report.size, priority=report.priority, interface=report.interface,
    )  # fmt: skip
    return rows_message(report.pool, [row])


def _bare(entry: Entry, kind: Kind = Kind.END) -> Entry:
    """A report's entry as far as its delivery alone decides; that is enough for its subject."""
    return Entry(
        submission=report_id(entry.id, kind),
        number=1,
        sender="",
        recipient=entry.sender,
        domain=entry.sender.rpartition("@")[2],
        accepted=0,
        expires=0,
        size=0,
        content=None,
        pool=entry.pool,
        priority=entry.priority,
        meta={ABOUT: entry.id} | ({KIND: str(kind)} if kind else {}),
        interface=INTERFACE,
        smtputf8=not entry.sender.isascii(),
    )


def _every_kind(report: Entry) -> str:
    """Its subjects in all states."""
    return f"*{entry_subject(READY, report)[1:]}"
