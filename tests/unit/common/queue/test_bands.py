"""Who goes first, and that nobody waits for ever."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.queue.bands import Bands
from common.subjects import band


def filled(*priorities: int) -> Bands[int]:
    bands: Bands[int] = Bands()
    for priority in priorities:
        bands.push(priority, priority)
    return bands


def test_all_get_their_share_while_all_are_full() -> None:
    bands = filled(*[9, 5, 2] * 24)
    got = Counter(bands.pop() for _ in range(24))
    assert got == {9: 16, 5: 6, 2: 2}


def test_a_share_that_nobody_takes_goes_to_the_next() -> None:
    bands = filled(*[5, 2] * 24)
    assert Counter(bands.pop() for _ in range(24)) == {5: 22, 2: 2}


def test_the_highest_number_of_a_band_first_then_the_first_that_came() -> None:
    bands: Bands[str] = Bands()
    for name, priority in (("first 4", 4), ("5", 5), ("second 4", 4), ("6", 6)):
        bands.push(priority, name)
    assert [bands.pop() for _ in range(4)] == ["6", "5", "first 4", "second 4"]


@given(st.lists(st.integers(0, 9)))
def test_all_come_out_once_each_band_in_its_order(priorities: list[int]) -> None:
    bands = filled(*priorities)
    assert len(bands) == len(priorities)
    out = [bands.pop() for _ in priorities]
    for name in "abc":
        assert [p for p in out if band(p) == name] == sorted((p for p in priorities if band(p) == name), reverse=True)
    with pytest.raises(IndexError):
        bands.pop()


@given(st.lists(st.integers(0, 9)))
def test_what_is_not_kept_is_gone(priorities: list[int]) -> None:
    bands = filled(*priorities)
    bands.keep(lambda priority: priority % 2 == 0)
    assert sorted(bands.pop() for _ in range(len(bands))) == sorted(p for p in priorities if p % 2 == 0)
