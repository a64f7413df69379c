"""Identifiers that sort by time and fit a subject token, a local part and a log line.

Alphabet: base32hex in lower case, whose order is that of the bits it stands for (RFC 4648 section 7).
"""

import hashlib
import os
import re
import time
from collections.abc import Iterable

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_TIME_CHARS, _RANDOM_CHARS = 10, 10
SUBMISSION = re.compile(f"[{_ALPHABET}]{{{_TIME_CHARS + _RANDOM_CHARS}}}")
DELIVERY = re.compile(rf"({SUBMISSION.pattern})-(\d{{1,4}})")


def base32(number: int, width: int) -> str:
    """The low ``5 * width`` bits of ``number`` as ``width`` characters."""
    return "".join([_ALPHABET[(number >> shift) & 31] for shift in range(5 * (width - 1), -1, -5)])


def new_id(now: float | None = None) -> str:
    """A new submission or event id: 50 bits of milliseconds since 1970, then 50 random bits."""
    milliseconds = int((time.time() if now is None else now) * 1000)
    return base32(milliseconds, _TIME_CHARS) + base32(int.from_bytes(os.urandom(7), "big"), _RANDOM_CHARS)


def id_time(identifier: str) -> float:
    """When an id was made, in seconds since 1970."""
    return int(identifier[:_TIME_CHARS], 32) / 1000


def report_id(delivery: str, kind: str = "") -> str:
    """The submission id of a report about a delivery: always the same, with the time of that delivery's own id.

    ``kind``: what it tells of, ``""`` for the delivery's end (``common.queue.reports.Kind``).
    """
    return delivery[:_TIME_CHARS] + _hash(f"{delivery} {kind}" if kind else delivery)


def derived_id(now: float, text: str) -> str:
    """An id with a time (seconds since 1970) that is always the same for a text."""
    return base32(int(now * 1000), _TIME_CHARS) + _hash(text)


def derived_ids(now: float, texts: Iterable[str]) -> list[str]:
    """``derived_id`` of many texts with the same time."""
    stem = base32(int(now * 1000), _TIME_CHARS)
    return [stem + _hash(text) for text in texts]


def _hash(text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    return base32(int.from_bytes(digest, "big"), _RANDOM_CHARS)


def token(text: str) -> str:
    """A subject token for text that people chose (a campaign): 65 bits of its hash; ``-`` for none."""
    if not text:
        return "-"
    digest = hashlib.blake2b(text.encode(), digest_size=9).digest()
    return base32(int.from_bytes(digest, "big"), 13)
