"""A suppression: a recipient that mail of some senders, or of all, is not sent to; and how many are stored together."""

import hashlib
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any

import msgpack

from common.addresses import normal_domain, parse_mailbox

VERSION = 1
#: The scope of what holds for all senders.
EVERYBODY = "*"
#: Recipients are hashed into so many buckets, of which each is one message; a stored format.
BUCKETS = 2**14
_SHIFT = 64 - 14
#: Behind the delivery of a soft bounce that came by mail, in ``bounces``.
REPORTED = " reported"
#: Characters of a reason that are kept.
MAX_REASON = 300


class Source(StrEnum):
    """What brought a suppression about. The order is part of what processes keep in memory, not of what is stored."""

    BOUNCE = "bounce"
    """The address is refused for good."""
    SOFT_BOUNCES = "soft-bounces"
    """It failed for now, too often."""
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"
    COUNTED = "counted"
    """None yet: soft bounces that are counted."""


#: In words, as replies and tables say them.
WORDS: dict[Source, str] = {
    Source.BOUNCE: "its mail bounced",
    Source.SOFT_BOUNCES: "its mail bounced too often",
    Source.COMPLAINT: "it complained",
    Source.UNSUBSCRIBE: "it unsubscribed",
    Source.MANUAL: "by hand",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """One recipient, for one scope. Times are seconds since 1970."""

    recipient: str
    """As ``folded`` makes it."""
    scope: str = EVERYBODY
    """Whose mail: ``*``, ``@domain`` of the envelope sender, or its address."""
    source: Source
    reason: str = ""
    since: float
    until: float = 0
    """0: until it is removed."""
    by: str = ""
    """The delivery, or who did it: user@host."""
    bounces: tuple[tuple[float, str], ...] = ()
    """Of soft bounces: when, and of which delivery, with ``REPORTED`` where it had been taken before."""

    def is_over(self, now: float) -> bool:
        """Whether it has expired."""
        return 0 < self.until <= now

    def __str__(self) -> str:
        """The reason in words, with its end."""
        until = f" until {time.strftime('%Y-%m-%d', time.gmtime(self.until))}" if self.until else ""
        return f"{WORDS.get(self.source, self.source)}{until}"


def folded(address: str) -> str:
    """The form in which addresses are compared: without case, also in the local part.

    RFC 5321 2.4 leaves its case to the receiver; but none is known to have two people under one name, and who asked
    for no more mail means all ways to write it.
    """
    return address.lower() if address.isascii() else unicodedata.normalize("NFC", address).lower()


def parse_recipient(text: str) -> str:
    """An address that a person wrote, folded. Raises AddressError."""
    return folded(str(parse_mailbox(text.strip(), utf8=True)))


def parse_scope(text: str) -> str:
    """``*`` or ``""`` for everybody, ``@domain`` or an address, folded. Raises AddressError."""
    text = text.strip()
    if text in ("", EVERYBODY):
        return EVERYBODY
    return f"@{normal_domain(text[1:])}" if text.startswith("@") else parse_recipient(text)


def scopes(sender: str) -> tuple[str, ...]:
    """Every scope that a sender's mail is in; the null sender's is that of everybody."""
    sender = folded(sender)
    at = sender.rfind("@")
    return (EVERYBODY, sender[at:], sender) if at >= 0 else (EVERYBODY,)


def hashed(text: str) -> int:
    """64 bits that stand for a recipient or a scope."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def bucket(key: int) -> int:
    """The bucket of a recipient by its ``hashed``."""
    return key >> _SHIFT


Record = list[object]
"""A suppression as it is stored: the values of its fields in their order."""


def pack(suppressions: Iterable[Suppression]) -> bytes:
    """The stored form of a bucket."""
    packed: bytes = msgpack.packb([VERSION, [_values(one) for one in suppressions]])
    return packed


def unpack_records(data: bytes) -> list[Record]:
    """What a bucket holds, as it is stored; ``b""`` holds nothing. Raises ValueError."""
    if not data:
        return []
    try:
        version, records = msgpack.unpackb(data)
    except Exception as error:
        raise ValueError(f"no bucket of suppressions: {error!r}") from error
    if version != VERSION or not isinstance(records, list):
        raise ValueError(f"suppressions of schema version {version!r}; this is version {VERSION}")
    return records


def unpack(data: bytes) -> list[Suppression]:
    """The opposite of ``pack``. Raises ValueError."""
    try:
        return [_unpacked(record) for record in unpack_records(data)]
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"no bucket of suppressions: {error}") from error


def _unpacked(record: Sequence[object]) -> Suppression:
    values: dict[str, Any] = dict(zip(_NAMES, record, strict=False))
    values["source"] = Source(values["source"])
    values["bounces"] = tuple((float(at), str(of)) for at, of in values["bounces"])
    return Suppression(**values)


_NAMES = tuple(field.name for field in fields(Suppression))
_values = attrgetter(*_NAMES)


def merged(
    there: Sequence[Suppression], new: Suppression, now: float, *, replace: bool = False
) -> list[Suppression] | None:
    """A bucket with one more; None where that changes nothing, for what is there lasts as long.

    With ``replace`` it takes the place of what is there. What is over goes.
    """
    left = [one for one in there if not one.is_over(now)]
    for one in left:
        same = (one.recipient, one.scope) == (new.recipient, new.scope)
        if same and not replace and _lasts_as_long(one, new):
            return None
    return [one for one in left if (one.recipient, one.scope) != (new.recipient, new.scope)] + [new]


def _lasts_as_long(one: Suppression, new: Suppression) -> bool:
    if one.source is Source.COUNTED or new.source is Source.COUNTED:
        return one.source is not Source.COUNTED
    return not one.until or 0 < new.until <= one.until
