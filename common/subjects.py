"""Names in the broker: streams, subjects, buckets and bands.

An entry's subject is ``<kind>.<pool>.<group>.<bucket>.<band>.<campaign>.<submission>.<n>``, the same tokens in the
same order for every kind, so that one filter reaches every state of a campaign, a submission or a
recipient. Tokens are hashed or base32, never an address.

Recipient domains are hashed into buckets, buckets into groups; a lane reads whole groups, with one filter each, but for
buckets that are taken out of it.
"""

import hashlib
from collections.abc import Container
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
HOOKS_STREAM = "HOOKS"
#: Stored formats: queues hold subjects made of them.
BUCKETS, GROUPS = 4096, 64
BANDS = ("a", "b", "c")


def queue_stream(pool: str) -> str:
    """The stream that holds a pool's entries."""
    return f"MQ_{pool}"


@lru_cache(maxsize=10_000)
def bucket(domain: str) -> int:
    """hash(recipient domain) mod BUCKETS."""
    return int.from_bytes(hashlib.blake2b(domain.encode(), digest_size=4).digest(), "big") % BUCKETS


def band(priority: int) -> str:
    """``a`` for priority 7-9, ``b`` for 4-6, ``c`` for 0-3."""
    return "a" if priority >= 7 else "b" if priority >= 4 else "c"


def group(bucket_: int) -> int:
    """The group of a bucket."""
    return bucket_ % GROUPS


def entry(kind: Kind, of: Entry) -> str:
    """The subject of an entry in one of its states."""
    bucket_ = bucket(of.domain)
    return (
        f"{kind}.{of.pool}.{group(bucket_)}.{bucket_}.{band(of.priority)}"
        f".{token(of.campaign)}.{of.submission}.{of.number}"
    )


def bucket_of(subject: str) -> int:
    """The bucket in an entry's subject."""
    return int(subject.split(".", 4)[3])


def as_kind(kind: Kind, subject: str) -> str:
    """The same entry's subject in another state."""
    return f"{kind}{subject[1:]}"


def submission(pool: str, submission_id: str, kind: Kind | Literal["*"] = "*") -> str:
    """A filter for every entry of a submission."""
    return f"{kind}.{pool}.*.*.*.*.{submission_id}.*"


def campaign(pool: str, name: str, kind: Kind | Literal["*"] = "*") -> str:
    """A filter for every entry of a campaign."""
    return f"{kind}.{pool}.*.*.*.{token(name)}.*.*"


def domain(pool: str, name: str, kind: Kind | Literal["*"] = "*") -> str:
    """A filter for every entry to a domain, and to those few that share its bucket."""
    return f"{kind}.{pool}.*.{bucket(name)}.>"


def selected(kind: Kind, pool: str, *, domain: str = "", campaign: str = "", id_: str = "") -> str:
    """A filter for all that is given: the recipient's domain (and its bucket's), campaign, submission or delivery."""
    where = f"*.{bucket(domain)}" if domain else "*.*"
    submission_id, _, number = id_.partition("-")
    return f"{kind}.{pool}.{where}.*.{token(campaign) if campaign else '*'}.{submission_id or '*'}.{number or '*'}"


def campaign_in(subject: str) -> str:
    """The campaign's token in an entry's subject."""
    return subject.split(".", 6)[5]


def with_campaign(filter_: str, token_: str) -> str:
    """What ``selected`` gave, for one campaign by its token."""
    parts = filter_.split(".")
    return ".".join([*parts[:5], token_, *parts[6:]])


def lane_filters(pool: str, lane: int, lanes: int, band_: str, without: Container[int] = ()) -> list[str]:
    """The filters of the consumer that reads one band of a lane, every ``lanes``-th group, but for some buckets."""
    filters = []
    for group_ in range(lane, GROUPS, lanes):
        buckets = range(group_, BUCKETS, GROUPS)
        left = [f"q.{pool}.{group_}.{one}.{band_}.>" for one in buckets if one not in without]
        filters += left if len(left) < len(buckets) else [f"q.{pool}.{group_}.*.{band_}.>"]
    return filters


def bucket_filter(pool: str, bucket_: int, band_: str) -> str:
    """The filter of one band of one bucket."""
    return f"q.{pool}.{group(bucket_)}.{bucket_}.{band_}.>"


def body(pool: str, submission_id: str) -> str:
    """The subject of content stored as one message, and the stem of its chunks."""
    return f"b.{pool}.{submission_id}"


def events(pool: str) -> str:
    """The subject of events that a pool's mail causes."""
    return f"e.{pool}"


def hook(kind: Literal["q", "s"], endpoint: str, identifier: str) -> str:
    """The subject of a message to a webhook's endpoint, ready or scheduled."""
    return f"w.{kind}.{endpoint}.{identifier}"


def hooks(kind: Literal["q", "s", "*"], endpoint: str) -> str:
    """A filter for every message to an endpoint."""
    return f"w.{kind}.{endpoint}.>"
