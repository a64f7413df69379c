"""Lists of suppressions as CSV (RFC 4180): ours, and those of other providers, whose columns have other names."""

import csv
import time
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from common.addresses import AddressError
from common.errors import UsageError
from common.options import parse_time
from common.suppression.suppression import MAX_REASON, Source, Suppression, parse_recipient, parse_scope
from events.story import rfc3339

COLUMNS = ("recipient", "scope", "source", "reason", "since", "until", "by")
#: What others call our columns, in lower case without blanks, "_" and "-". Without a header the first column counts.
_NAMES = {
    "recipient": ("recipient", "email", "emailaddress", "address", "suppressedemail", "to"),
    "scope": ("scope", "sender", "from"),
    "source": ("source", "type", "suppressionreason", "category", "list"),
    "reason": ("reason", "error", "details", "description", "message"),
    "since": ("since", "created", "createdat", "date", "lastupdatetime", "timestamp", "added"),
    "until": ("until", "expires", "expiry", "expiresat"),
    "by": ("by", "origin"),
}
#: What others call our sources, by what it begins with.
_SOURCES = {
    "bounce": Source.BOUNCE, "hard": Source.BOUNCE, "invalid": Source.BOUNCE, "soft": Source.SOFT_BOUNCES,
    "complain": Source.COMPLAINT, "spam": Source.COMPLAINT, "abuse": Source.COMPLAINT, "unsub": Source.UNSUBSCRIBE,
    "optout": Source.UNSUBSCRIBE, "manual": Source.MANUAL,
}  # fmt: skip
#: The end of the year 9999, the last that RFC 3339 can write, in seconds since 1970.
LAST = 253_402_300_799
#: Longest line: an address has 256 octets, a reason is cut.
csv.field_size_limit(1 << 20)


class Refused(NamedTuple):
    """A row that is none."""

    line: int
    why: str


class Defaults(NamedTuple):
    """What rows have that do not say."""

    scope: str
    source: Source
    reason: str
    by: str
    until: float = 0


class Writer:
    """Writes a list."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.count = file, 0
        self._writer = csv.writer(file)
        self._writer.writerow(COLUMNS)

    def write(self, one: Suppression) -> None:
        """Add a row."""
        self._writer.writerow(cells(one).values())
        self.count += 1


def cells(one: Suppression) -> dict[str, str]:
    """A suppression by our columns; times as RFC 3339 has them, ``""`` for none."""
    values = (one.recipient, one.scope, str(one.source), one.reason, _time(one.since), _time(one.until), one.by)
    return dict(zip(COLUMNS, values, strict=True))


def read(file: TextIO, defaults: Defaults) -> Iterator[Suppression | Refused]:
    """The rows of a list one after another, what is none with its line. Raises UsageError where it is no list."""
    rows = csv.reader(file)
    try:
        first = next(rows, None)
        if first is None:
            return
        columns = _columns(first)
        if not columns:
            columns = {"recipient": 0}
            yield from _read_row(first, columns, defaults, 1)
        for row in rows:
            yield from _read_row(row, columns, defaults, rows.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"line {rows.line_num + 1}: not CSV in UTF-8: {error}") from None


def _columns(header: list[str]) -> dict[str, int]:
    """Where our columns are; nothing where the first row is no header. Raises UsageError."""
    plain = ["".join(c for c in cell.lower().lstrip("\ufeff") if c not in " _-") for cell in header]
    found = {}
    for ours, names in _NAMES.items():
        places = [plain.index(name) for name in names if name in plain]
        if places:
            found[ours] = places[0]
    if "recipient" not in found and not any("@" in cell for cell in header):
        raise UsageError(f"no column of addresses among {', '.join(header)[:200]}; call it recipient or email")
    return found if "recipient" in found else {}


def _read_row(
    row: list[str], columns: dict[str, int], defaults: Defaults, line: int
) -> Iterator[Suppression | Refused]:
    cells_ = {name: row[place].strip() if place < len(row) else "" for name, place in columns.items()}
    if not any(row):
        return
    try:
        yield _suppression(cells_, defaults)
    except (AddressError, ValueError) as error:
        yield Refused(line, f"{cells_['recipient'][:100]!r}: {error}")


def _suppression(given: dict[str, str], defaults: Defaults) -> Suppression:
    said = given["source"] if "source" in given else given.get("reason", "")
    since = _parse_time(given.get("since", "")) or time.time()
    return Suppression(
        recipient=parse_recipient(given["recipient"]),
        scope=parse_scope(given["scope"]) if given.get("scope") else defaults.scope,
        source=_source(said) or defaults.source,
        reason=(given.get("reason") or ("" if _source(said) else said) or defaults.reason)[:MAX_REASON],
        since=since,
        until=_parse_time(given.get("until", "")) or defaults.until,
        by=given.get("by") or defaults.by,
    )


def _source(text: str) -> Source | None:
    plain = "".join(c for c in text.lower() if c.isalpha())
    return next((source for word, source in _SOURCES.items() if plain.startswith(word)), None)


def _time(seconds: float) -> str:
    return rfc3339(min(seconds, LAST)) if seconds else ""


def _parse_time(text: str) -> float:
    """RFC 3339, also without a zone (UTC), or seconds since 1970; 0 for none. Raises ValueError."""
    if not text:
        return 0
    for read in (parse_time, lambda text: parse_time(f"{text}Z"), lambda text: parse_time(f"{text}T00:00:00Z"), float):
        try:
            found = read(text)
        except ValueError:
            continue
        if 0 <= found <= LAST:  # NaN is not
            return found
    raise ValueError(f"{text!r} is no time since 1970; write 2026-11-22T10:00:00Z or Unix time in seconds")
