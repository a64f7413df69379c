"""An event: one thing that happened, one wide row. Its fields are the columns of the table in ClickHouse.

Many rows travel in one message of ``EVENTS``, column by column as ClickHouse takes them: msgpack ``{"v": 2,
"rows": n, "columns": {name: [n values]}}``, columns left out where every row has the default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any

import msgpack

from common.ids import new_id

VERSION = 2


class Type(StrEnum):
    """What happened. Types that later versions bring are added with them."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    HELD = "held"
    STOPPED = "stopped"
    RESUMED = "resumed"
    ADMIN = "admin"
    """An order, with who gave it, why and how many deliveries it was about; or what a reply rule did."""
    DSN = "dsn"
    """A report of another system's about a delivery (RFC 3464, or what takes its place); ``reason`` is its action."""
    COMPLAINT = "complaint"
    AUTOREPLY = "autoreply"
    REPLY = "reply"
    """A person's answer to a delivery."""
    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    """A recipient that mail is not sent to (``common/suppression``)."""


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
    envid: str = ""
    """Of an ``accepted`` row: what its sender calls it (RFC 3461 4.4), decoded."""
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
    """What kind of refusal it was (``common/classify``)."""
    bounce_type: str = ""
    """``hard``: no mail will ever arrive there; ``soft``: another may."""
    webhook: str = ""
    """The endpoint that its submission named (``X-Postjet-Webhook``)."""
    count: int = 1
    """How many happenings the row stands for: rejections are gathered."""


_DEFAULTS: dict[str, Any] = {f.name: {} if f.name == "meta" else f.default for f in fields(Event)}
_values = attrgetter(*_DEFAULTS)


def pack(rows: Sequence[Event]) -> bytes:
    """Rows as one message of ``EVENTS``."""
    columns = dict(zip(_DEFAULTS, zip(*map(_values, rows), strict=True), strict=False))  # no rows, no columns
    return pack_columns(len(rows), without_defaults(len(rows), columns))


def without_defaults(rows: int, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Columns of so many values, but for those in which every row has the default."""
    return {name: values for name, values in columns.items() if values.count(_DEFAULTS[name]) < rows}


def pack_columns(rows: int, columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Columns of so many values as one message of ``EVENTS``."""
    packed: bytes = msgpack.packb({"v": VERSION, "rows": rows, "columns": columns})
    return packed


def unpack_columns(data: bytes) -> tuple[int, dict[str, list[Any]]]:
    """The number of rows in a message, and its columns of so many values. Raises ValueError."""
    try:
        values = msgpack.unpackb(data)
        version = values["v"]
    except Exception as error:
        raise ValueError(f"not an events message: {error!r}") from error
    if version != VERSION:
        raise ValueError(f"events message of schema version {version!r}; this is version {VERSION}")
    rows, columns = values.get("rows"), values.get("columns")
    if not (type(rows) is int and isinstance(columns, dict)):
        raise ValueError("events message without rows and columns")
    for name, column in columns.items():
        if not (isinstance(column, list) and len(column) == rows):
            raise ValueError(f"events message of {rows} rows whose column {name!r} has not so many values")
    return rows, columns


def unpack(data: bytes) -> list[dict[str, Any]]:
    """The rows of a message as maps of column to value. Raises ValueError."""
    rows, columns = unpack_columns(data)
    return [{name: values[i] for name, values in columns.items()} for i in range(rows)]
