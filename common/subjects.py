"""Names in the broker: streams, subjects, buckets and bands.

An entry's subject is ``<kind>.<pool>.<bucket>.<band>.<campaign>.<submission>.<n>``, the same tokens in the
same order for every kind, so that one filter reaches every state of a campaign, a submission or a
recipient. Tokens are hashed or base32, never an address.
"""

import hashlib
from functools import lru_cache
from typing import Literal

from common.entry import Entry
from common.ids import token

Kind = Literal["q", "s", "h"]
READY: Kind = "q"
SCHEDULED: Kind = "s"
HELD: Kind = "h"
BODY_STREAM = "BODY"
EVENTS_STREAM = "EVENTS"
BUCKETS = 1024
BANDS = ("a", "b", "c")


def queue_stream(pool: str) -> str:
    """The stream that holds a pool's entries."""
    return f"MQ_{pool}"


@lru_cache(maxsize=10_000)
def bucket(domain: str) -> int:
    """hash(recipient domain) mod 1024."""
    return int.from_bytes(hashlib.blake2b(domain.encode(), digest_size=4).digest(), "big") % BUCKETS


def band(priority: int) -> str:
    """``a`` for priority 7-9, ``b`` for 4-6, ``c`` for 0-3."""
    return "a" if priority >= 7 else "b" if priority >= 4 else "c"


def entry(kind: Kind, of: Entry) -> str:
    """The subject of an entry in one of its states."""
    return (
        f"{kind}.{of.pool}.{bucket(of.domain)}.{band(of.priority)}"
        f".{token(of.campaign)}.{of.submission}.{of.number}"
    )


def as_kind(kind: Kind, subject: str) -> str:
    """The same entry's subject in another state."""
    return f"{kind}{subject[1:]}"


def submission(pool: str, submission_id: str, kind: Kind | Literal["*"] = "*") -> str:
    """A filter for every entry of a submission."""
    return f"{kind}.{pool}.*.*.*.{submission_id}.*"


def lane_filters(pool: str, lane: int, lanes: int, band_: str) -> list[str]:
    """The filters of the consumer that reads one band of a lane: every ``lanes``-th bucket."""
    return [f"q.{pool}.{bucket_}.{band_}.>" for bucket_ in range(lane, BUCKETS, lanes)]


def body(pool: str, submission_id: str) -> str:
    """The subject of content stored as one message, and the stem of its chunks."""
    return f"b.{pool}.{submission_id}"


def events(pool: str) -> str:
    """The subject of events that a pool's mail causes."""
    return f"e.{pool}"
