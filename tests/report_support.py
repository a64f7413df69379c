"""Some mail whose numbers can be counted by hand, and a way to record it."""

from typing import Any

from clickhouse_support import columns

from common.event import Event, Status, Type, pack, unpack
from events.store import Store

#: A noon; all that is known of here happened in the two hours behind it.
NOON = 1_790_000_000 // 86400 * 86400 + 43200
HOUR = 3600
MAIL: dict[str, Any] = {
    "pool": "default", "sender": "Ann@News.example", "campaign": "spring", "tags": ("spring", "vip"), "size": 1000,
    "interface": "relay", "client_address": "192.0.2.7", "worker": "default.0", "source_address": "192.0.2.1",
}  # fmt: skip
OTHER: dict[str, Any] = {
    "pool": "bulk", "sender": "bob@shop.example", "size": 3000, "interface": "submission",
    "client_address": "192.0.2.8", "worker": "bulk.0", "source_address": "192.0.2.2",
}  # fmt: skip
GOOGLE: dict[str, Any] = {"provider": "google", "domain": "gmail.example", "site": "google"}
SMALL: dict[str, Any] = {"domain": "small.example", "site": "mx.small.example"}


def accepted(minute: float, submission: str, recipients: int, of: dict[str, Any]) -> Event:
    names = tuple(f"r{n}@gmail.example" for n in range(recipients))
    return _event(minute, Type.ACCEPTED, of, submission=submission, recipients=names, source_address="", worker="")


def tried(minute: float, type: Type, delivery: str, attempt: int, of: dict[str, Any], **more: Any) -> Event:
    status = {Type.DELIVERED: Status.DELIVERED, Type.DEFERRED: Status.DEFERRED}.get(type, Status.UNDELIVERABLE)
    submission, recipient = delivery.rpartition("-")[0], f"r@{of['domain']}"
    more = {"submission": submission, "delivery": delivery, "attempt": attempt, "recipient": recipient} | more
    return _event(minute, type, of, status=status, **more)


def _event(minute: float, type: Type, of: dict[str, Any], **more: Any) -> Event:
    return Event(time=NOON + 60 * minute, type=type, **(of | more))


def greylisted(seconds: int, id: str) -> dict[str, Any]:
    text = f"4.7.1 <r@gmail.example> greylisted for {seconds} seconds, {id}a1b2c3 - gsmtp"
    return {"code": 451, "enhanced_code": "4.7.1", "text": text, "bounce_class": "greylisted", "bounce_type": "soft"}


UNKNOWN = {
    "code": 550, "enhanced_code": "5.1.1", "text": "5.1.1 No such user", "bounce_class": "invalid-recipient",
    "bounce_type": "hard",
}  # fmt: skip
TLS = {"tls_version": "TLSv1.3"}
STRANGE: dict[str, Any] = {"pool": "feedback", "phase": "unmatched"}
#: Of Ann three mails to five recipients at a large provider, of Bob one to a small domain.
KNOWN = [
    accepted(0, "s1", 2, MAIL),
    accepted(1, "s2", 2, MAIL),
    accepted(61, "s3", 1, MAIL),
    accepted(62, "s4", 1, OTHER),
    # s1: both greylisted, then delivered
    tried(2, Type.DEFERRED, "s1-1", 1, MAIL | GOOGLE, **greylisted(300, "x1")),
    tried(2, Type.DEFERRED, "s1-2", 1, MAIL | GOOGLE, **greylisted(299, "y2")),
    tried(8, Type.DELIVERED, "s1-1", 2, MAIL | GOOGLE, time_queue=400, time_connect=0.1, time_total=401, **TLS),
    tried(8, Type.DELIVERED, "s1-2", 2, MAIL | GOOGLE, time_queue=400, time_total=402, **TLS),
    # s2: one delivered at once, which is bounced later, one unknown
    tried(3, Type.DELIVERED, "s2-1", 1, MAIL | GOOGLE, time_queue=0.9, time_connect=0.1, time_total=1, **TLS),
    tried(3, Type.BOUNCED, "s2-2", 1, MAIL | GOOGLE, **UNKNOWN),
    # s3: delivered in the next hour, and complained of
    tried(65, Type.DELIVERED, "s3-1", 1, MAIL | GOOGLE, time_queue=0.9, time_transfer=3, time_total=4, **TLS),
    tried(90, Type.COMPLAINT, "s3-1", 0, MAIL | GOOGLE, reason="abuse"),
    tried(91, Type.COMPLAINT, "s2-1", 0, MAIL | GOOGLE, reason="not-spam"),
    tried(91, Type.DSN, "s2-1", 0, MAIL | GOOGLE, reason="failed", **UNKNOWN),
    # what strangers bring about no mail of ours
    *(_event(92, type, STRANGE, reason=reason)
      for type, reason in ((Type.COMPLAINT, "abuse"), (Type.DSN, "failed"), (Type.REPLY, "other"))),
    # s4: deferred, expired
    tried(66, Type.DEFERRED, "s4-1", 1, OTHER | SMALL, code=451, text="Try later"),
    tried(100, Type.EXPIRED, "s4-1", 2, OTHER | SMALL, text="Try later"),
    _event(5, Type.REJECTED, {}, interface="relay", client_address="198.51.100.1", code=550, phase="rcpt",
           text="relaying denied for client [198.51.100.1]", count=7),
]  # fmt: skip


def insert(store: Store, events: list[Event], token: str = "t") -> None:
    """As the recorder does."""
    rows = [row | {"stream_sequence": 1, "row_number": i} for i, row in enumerate(unpack(pack(events)))]
    store.insert("events", columns(rows), token)
