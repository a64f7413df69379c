"""Held entries: schedules that never fire, with the reason. What is set aside so waits for a person."""

import time
from typing import Any

from common.broker import Message
from common.entry import Entry, UnreadableError
from common.event import Event, Type
from common.subjects import HELD, READY, as_kind

#: When they were to fire (from 2262 on the date overflows and fires at once).
NEVER = "2200-01-01T00:00:00Z"
HOLD_REASON = "Postjet-Reason"


def hold_headers(subject: str, reason: str) -> dict[str, str]:
    """What makes an entry a held one; ``reason`` as ``one_line`` gives it."""
    return {
        "Nats-Schedule": f"@at {NEVER}",
        "Nats-Schedule-Target": as_kind(READY, subject),
        HOLD_REASON: reason,
    }


def one_line(reason: str) -> str:
    """A reason as held entries say it."""
    return " ".join(reason.split())[:500].encode("ascii", "replace").decode()


def aside(subject: str, sequence: int, body: bytes, reason: str) -> Message:
    """An entry that cannot be worked on, as it is set aside: the same however often."""
    held = as_kind(HELD, subject)
    return Message(held, body, {"Nats-Msg-Id": f"hold.{held}.{sequence}", **hold_headers(subject, one_line(reason))})


def aside_row(pool: str, subject: str, sequence: int, body: bytes, word: str, reason: str) -> Event:
    """The row that tells of it, with the same id however often it is made."""
    *_, submission, number = subject.split(".")
    return Event(
        id=f"{pool}.{submission}-{number}.{sequence}", time=time.time(), type=Type.HELD, pool=pool,
        submission=submission, delivery=f"{submission}-{number}", reason=word, text=reason, **_known(body),
    )  # fmt: skip


def _known(body: bytes) -> dict[str, Any]:
    """What an entry's stored form tells an event; nothing where it cannot be read."""
    try:
        return Entry.unpack(body).told()
    except UnreadableError:
        return {}
