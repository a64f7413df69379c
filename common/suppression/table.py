"""Which recipients are suppressed, as a process keeps it in memory: 24 bytes for each, and no address.

Hashes of 64 bits stand for recipients and scopes. That two of a million recipients have the same is as likely as one
in 37 million; mail to one of them would then be refused by mistake.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from common.suppression.suppression import Record, Source, Suppression, bucket, folded, hashed, scopes

_SOURCES = tuple(Source)
_NUMBER = {str(source): number for number, source in enumerate(_SOURCES)}
_RECIPIENT, _SCOPE, _SOURCE, _UNTIL = 0, 1, 2, 5
#: What ends later, in seconds since 1970, ends then.
_FAR = 1e15


class _Bucket(NamedTuple):
    """One bucket, sorted by the recipients' hashes; as long are the hashes of scopes, and ``until * 8 + source``."""

    recipients: "array[int]"
    scopes: "array[int]"
    terms: "array[int]"


class Table:
    """What is suppressed. Filled bucket by bucket, from what is stored."""

    def __init__(self) -> None:
        self._buckets: dict[int, _Bucket] = {}
        self.count = 0

    def put(self, number: int, records: Iterable[Record]) -> None:
        """Have a bucket hold these and nothing else.

        Raises ValueError, TypeError, IndexError, OverflowError where they are none.
        """
        rows = sorted(map(_row, records))
        new = _Bucket(*(array("Q", column) for column in zip(*rows, strict=True))) if rows else None
        old = self._buckets.pop(number, None)
        self.count += len(rows) - (len(old.recipients) if old else 0)
        if new:
            self._buckets[number] = new

    def find(self, sender: str, recipient: str, now: float) -> Suppression | None:
        """What holds back mail from a sender (``""``: null) to a recipient, or soft bounces that are counted.

        Without what is not needed in the way of mail: its reason, its beginning, who did it.
        """
        if not self._buckets:
            return None
        recipient = folded(recipient)
        key = hashed(recipient)
        held = self._buckets.get(bucket(key))
        if held is None:
            return None
        at, found = bisect_left(held.recipients, key), None
        while at < len(held.recipients) and held.recipients[at] == key:
            until, source = divmod(held.terms[at], 8)
            if not 0 < until <= now and (scope := _scope(sender, held.scopes[at])):
                found = Suppression(
                    recipient=recipient, scope=scope, source=_SOURCES[source], since=0, until=until
                )
                if found.source is not Source.COUNTED:
                    break
            at += 1
        return found


def _row(record: Record) -> tuple[int, int, int]:
    terms = math.ceil(min(record[_UNTIL], _FAR)) * 8 + _NUMBER[str(record[_SOURCE])]  # type: ignore[call-overload]
    return hashed(str(record[_RECIPIENT])), _hash_of_scope(str(record[_SCOPE])), terms


@lru_cache(maxsize=1000)
def _hash_of_scope(scope: str) -> int:
    return hashed(scope)


def _scope(sender: str, wanted: int) -> str:
    """The scope of a sender's that has a hash, or ``""``."""
    return next((scope for scope in scopes(sender) if _hash_of_scope(scope) == wanted), "")
