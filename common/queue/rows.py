"""Rows of events on their way: a message of EVENTS."""

from collections.abc import Sequence

from common.broker import Message, with_id
from common.event import Event, pack
from common.subjects import events


def message(pool: str, rows: Sequence[Event]) -> Message:
    """Rows as one message. By its id, the first row's, the broker tells a repeat, and the recorder one it forgot."""
    return with_id(events(pool), pack(rows), rows[0].id)
