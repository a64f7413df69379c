"""The time a report is of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from master.report_time import LONG, duration, time_range

NOW = 1_790_000_000.5  # 2026-09-21T14:13:20.5Z


@pytest.mark.parametrize(
    ("since", "start", "end", "expected"),
    [
        ("1h", "", "", (1_789_996_380, 1_790_000_040)),  # 13:13 to 14:14
        ("7d", "", "", (1_789_394_400, 1_790_002_800)),  # hours: 14:00 to 15:00
        ("24h", "2026-09-21", "", (1_789_948_800, 1_790_000_040)),
        ("24h", "2026-09-21T10:00", "2026-09-21T11:30:30", (1_789_984_800, 1_789_990_230)),
        ("24h", "2026-09-21T12:00+02:00", "2026-09-21T11:30Z", (1_789_984_800, 1_789_990_200)),
        ("1h", "", "2026-09-21T11:30", (1_789_986_600, 1_789_990_200)),
    ],
)
def test_ranges(since: str, start: str, end: str, expected: tuple[int, int]) -> None:
    assert time_range(since, start, end, NOW) == expected


@given(st.integers(1, 10_000_000), st.floats(1.7e9, 2.5e9))
def test_what_was_asked_for_lies_within(seconds: int, now: float) -> None:
    first, last = time_range(f"{seconds}s", "", "", now)
    assert first <= now - seconds
    assert now <= last < now + 3600
    step = 3600 if seconds >= LONG else 60
    assert first % step == last % step == 0
    assert now - seconds - first < step


@pytest.mark.parametrize(
    ("since", "start", "end", "words"),
    [
        ("soon", "", "", "--since: 'soon' is no duration"),
        ("0s", "", "", "--since: 0s is no time"),
        ("1h", "yesterday", "", "--from: 'yesterday' is no time; write 2026-11-22"),
        ("1h", "", "25:00", "--to: '25:00' is no time"),
        ("1h", "2026-09-22", "", "ends before it begins"),
        ("1h", "2026-09-21", "2026-09-21", "ends before it begins"),
    ],
)
def test_what_is_no_range(since: str, start: str, end: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        time_range(since, start, end, NOW)


def test_durations() -> None:
    assert duration("--step", "15m") == 900
