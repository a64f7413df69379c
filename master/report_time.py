"""The time a report is of, as people say it. Pure functions."""

import math
from datetime import UTC, datetime

from common.errors import UsageError
from common.units import parse_duration
from events.report import HOUR, MINUTE

#: From so many seconds on, what is asked for by --since is rounded to hours, of which there are fewer to add up.
LONG = 2 * 86400


def time_range(since: str, start: str, end: str, now: float) -> tuple[int, int]:
    """Start and end, which is not in it, in seconds since 1970; what was not said to the second rounded outwards.

    Raises UsageError.
    """
    back = duration("--since", since)
    step = HOUR if not start and back >= LONG else MINUTE
    last = _moment("--to", end) if end else math.ceil(now / step) * step
    first = _moment("--from", start) if start else math.floor(((last if end else now) - back) / step) * step
    if first >= last:
        raise UsageError("the range ends before it begins; look at --from, --to and --since")
    return first, last


def duration(option: str, text: str) -> float:
    """Seconds of ``24h`` and the like, more than none. Raises UsageError."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if seconds < 1:
        raise UsageError(f"{option}: {text} is no time; write a number with s, m, h, d or w, such as 24h")
    return seconds


def _moment(option: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: {text!r} is no time; write 2026-11-22 or 2026-11-22T14:30, in UTC") from None
