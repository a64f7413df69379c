"""Rows of events on their way: a message of EVENTS."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.broker import Message, with_id
from common.event import Event, pack, pack_columns, without_defaults
from common.subjects import events


def message(pool: str, rows: Sequence[Event]) -> Message:
    """Rows as one message. By its id, the first row's, the broker tells a repeat, and the recorder one it forgot."""
    return with_id(events(pool), pack(rows), rows[0].id)


def columns_message(pool: str, columns: Mapping[str, Sequence[Any]]) -> Message:
    """The same of rows that are columns already."""
    count = len(columns["id"])
    return with_id(events(pool), pack_columns(count, without_defaults(count, columns)), columns["id"][0])
