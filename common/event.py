"""An event: one thing that happened, one wide row. Its fields are the columns of the table in ClickHouse.

Many rows travel in one message of ``EVENTS``: msgpack ``{"v": 1, "rows": [{column: value}]}``, columns
that have their default left out.
"""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

import msgpack

from common.ids import new_id

VERSION = 1


class Type(StrEnum):
    """What happened. Types that later versions bring are added with them."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    HELD = "held"


class Status(StrEnum):
    """Where a delivery stands after the event."""

    NONE = ""
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    UNDELIVERABLE = "undeliverable"


@dataclass(slots=True, kw_only=True)  # not frozen: with so many fields that takes twice the time to make
class Event:
    """One row. Times are seconds since 1970, durations seconds, sizes bytes; ``""`` and 0 mean none."""

    time: float
    type: Type
    id: str = field(default_factory=new_id)
    """New for every try."""
    submission: str = ""
    delivery: str = ""
    attempt: int = 0
    pool: str = ""
    source_address: str = ""
    worker: str = ""
    sender: str = ""
    recipient: str = ""
    """Of a delivery; an ``accepted`` row has them all in ``recipients``."""
    recipients: tuple[str, ...] = ()
    domain: str = ""
    site: str = ""
    provider: str = ""
    campaign: str = ""
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = field(default_factory=dict)
    message_id: str = ""
    size: int = 0
    priority: int = 0
    interface: str = ""
    client_address: str = ""
    status: Status = Status.NONE
    reason: str = ""
    """A short word for what decided: ``greylisted``, ``dns``, ``connect``, ``expired`` …"""
    phase: str = ""
    """Where in the dialogue: dns, connect, banner, ehlo, starttls, mail, rcpt, data, dot …"""
    code: int = 0
    enhanced_code: str = ""
    text: str = ""
    mx_host: str = ""
    mx_address: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    tls_policy: str = ""
    signatures: tuple[str, ...] = ()
    """DKIM signatures put on: ``domain:selector:algorithm``."""
    next_attempt: float = 0
    """When it is tried again; of an ``accepted`` row when it is sent, where that is later."""
    time_queue: float = 0
    """From acceptance to the start of this attempt; for mail sent later from its due time."""
    time_dns: float = 0
    time_connect: float = 0
    time_transfer: float = 0
    time_total: float = 0
    """From acceptance to this outcome; for mail sent later from its due time: what was asked for is no delay."""
    bounce_class: str = ""
    count: int = 1
    """How many happenings the row stands for: rejections are gathered."""


_FIELDS = tuple((f.name, {} if f.name == "meta" else f.default) for f in fields(Event))


def pack(rows: list[Event]) -> bytes:
    """Rows as one message of ``EVENTS``."""
    maps = [
        {name: value for name, default in _FIELDS if (value := getattr(row, name)) != default} for row in rows
    ]
    packed: bytes = msgpack.packb({"v": VERSION, "rows": maps})
    return packed


def unpack(data: bytes) -> list[dict[str, Any]]:
    """The rows of a message as maps of column to value. Raises ValueError."""
    try:
        values = msgpack.unpackb(data)
        version, rows = values["v"], values["rows"]
    except Exception as error:
        raise ValueError(f"not an events message: {error!r}") from error
    if version != VERSION:
        raise ValueError(f"events message of schema version {version}; this is version {VERSION}")
    return list(rows)
