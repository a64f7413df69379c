"""An entry: one delivery as it lies in the queue, and its stored form (msgpack, schema version 1).

The stored form is a map with short names; a reader ignores names it does not know, so that fields can be
added without a new version. ``VERSION`` changes when old readers would get a field wrong.
"""

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Self

import msgpack

from common.content import BodyRef

VERSION = 1
#: What rows of events tell of an entry, under the same names (``common.event.Event``).
TOLD = ("sender", "recipient", "domain", "campaign", "tags", "meta", "message_id", "size", "priority", "interface",
        "client_address", "webhook")  # fmt: skip
#: Of mail that names none.
DEFAULT_POOL = "default"
#: In place of a pool for mail to ``feedback.domain``, which the role ``dsn`` reads.
FEEDBACK_POOL = "feedback"


class UnreadableError(ValueError):
    """Stored bytes that this version cannot read; nothing is thrown away, the entry is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One recipient of a submission. Times are seconds since 1970, sizes bytes."""

    submission: str
    number: int
    """1 for the first recipient; the delivery's id is ``<submission>-<number>``."""
    sender: str
    """Envelope sender; ``""`` for the null reverse-path."""
    recipient: str
    domain: str
    """The recipient's domain as DNS knows it: lower-case A-labels, or an address literal in brackets."""
    accepted: float
    expires: float
    """Given up after this; counted from acceptance, for mail sent later from its due time."""
    size: int
    """Bytes of the content, uncompressed."""
    content: bytes | BodyRef | None
    """Stored content in the entry itself, or where it lies; None in a parked copy."""
    pool: str = DEFAULT_POOL
    priority: int = 4
    due: float = 0
    """When to send it, for mail sent later; 0: at once."""
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Fields of the header that controls can match (``[controls] headers``): lower-case name to value."""
    message_id: str = ""
    interface: str = ""
    """The listener's name."""
    client_address: str = ""
    eightbit: bool = False
    """The client said BODY=8BITMIME (RFC 6152)."""
    smtputf8: bool = False
    """The client said SMTPUTF8 (RFC 6531)."""
    notify: str = ""
    """RFC 3461 4.1: NEVER, or some of SUCCESS, FAILURE, DELAY with commas between; ``""``: not said."""
    ret: str = ""
    """RFC 3461 4.3: FULL or HDRS; ``""``: not said."""
    envid: str = ""
    """RFC 3461 4.4, in xtext as the client sent it."""
    orcpt: str = ""
    """RFC 3461 4.2, in xtext with its address type as the client sent it."""
    deliver_by: float = 0
    """RFC 2852, mode N: not delivered by then, a "delayed" report is due; seconds since 1970, 0: not said."""
    future_release: str = ""
    """RFC 4865 section 9: what reports name as Future-Release-Request, such as ``for;600``."""
    unsubscribe: bool = False
    """It leaves with a link for one-click unsubscribe (RFC 8058)."""
    webhook: str = ""
    """The endpoint of the configuration that is told what becomes of it."""
    attempts: int = 0
    """Tries so far that count."""
    last_reply: str = ""
    """What the last try ended with, for the report on expiry."""
    last_host: str = ""
    """The host that said so; ``""`` where it was our own finding."""
    next_try: float = 0
    """Scheduled earlier than this only so that its sender is told of the delay; 0: at its time it is tried."""
    put_off: str = ""
    """The end of what it waits for in the queue, which may come early: ``Hold.key`` of a suspension, ``down:<site>``
    of an outage. It says something only of what is scheduled; ``""``: its time is its own."""
    reported: str = ""
    """The delays that its sender was told of (``common.queue.reports.Kind``), with commas between."""

    @property
    def id(self) -> str:
        """The delivery's id."""
        return f"{self.submission}-{self.number}"

    @property
    def waits_since(self) -> float:
        """What delays count from: its due time for mail sent later, else its acceptance."""
        return self.due or self.accepted

    @property
    def campaign(self) -> str:
        """The first tag, or ``""``."""
        return self.tags[0] if self.tags else ""

    def told(self) -> dict[str, Any]:
        """What rows of events tell of it, under the same names."""
        return {name: getattr(self, name) for name in TOLD}

    def but(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def pack(self) -> bytes:
        """The stored form. Fields that have their default are left out."""
        values: dict[str, Any] = {"v": VERSION}
        for name, default in _FIELDS:
            value = getattr(self, name)
            if value != default:
                values[name] = value.to_list() if isinstance(value, BodyRef) else value
        packed: bytes = msgpack.packb(values)
        return packed

    @staticmethod
    def postpone(data: bytes, seconds: float) -> bytes:
        """A stored form that expires later by so much; what cannot be read stays as it is."""
        try:
            values = msgpack.unpackb(data)
            values["expires"] += seconds
            packed: bytes = msgpack.packb(values)
        except Exception:
            return data
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> "Entry":
        """The entry behind its stored form. Raises UnreadableError."""
        try:
            values = msgpack.unpackb(data)
            version = values["v"]
            if version != VERSION:
                raise UnreadableError(f"entry of schema version {version}; this is version {VERSION}")
            known = {name: value for name, value in values.items() if name in _NAMES}
            if isinstance(known.get("content"), list):
                known["content"] = BodyRef.from_list(known["content"])
            known["tags"] = tuple(known.get("tags", ()))
            known.setdefault("content", None)
            return cls(**known)
        except UnreadableError:
            raise
        except Exception as error:
            raise UnreadableError(f"not a queue entry: {error!r}") from error


_NAMES = frozenset(f.name for f in fields(Entry))
#: Name and the value that is left out; the default factory gives an empty map.
_FIELDS = tuple((f.name, f.default if f.default_factory is MISSING else {}) for f in fields(Entry))
