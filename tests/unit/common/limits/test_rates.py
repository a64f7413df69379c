"""Rates hold in every window, by the clock of who is served, whoever grants and whoever was killed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits_support import most_within

from common.limits.owners import SETTLE
from common.limits.rates import HORIZON, Rate, grace

RATES = st.tuples(st.integers(1, 60), st.sampled_from([1.0, 60.0, 3600.0, 86400.0]))
#: When somebody asks, after how much of the interval; how late within its grace a token is used. Mostly the worst: all
#: the time, late first and early then.
GAPS = st.one_of(st.just(0.5), st.just(1.0), st.floats(0, 3))
LATE = st.one_of(st.just(0.0), st.just(0.999), st.floats(0, 0.999))
ASKED = st.lists(st.tuples(GAPS, LATE), min_size=1, max_size=200)
#: Floats of a few hours carry so many seconds of error.
TINY = 1e-6


def use(rate: Rate, asked: list[tuple[float, float]], now: float) -> tuple[list[float], float]:
    """When who is served sees the tokens, and when the last was asked for."""
    seen = []
    for gap, late in asked:
        now += gap * rate.interval
        at = rate.take(now)
        if at <= now + HORIZON:
            seen.append(at + late * grace(rate.per))
    return seen, now


@given(RATES, ASKED)
def test_no_window_has_more_than_the_amount(limit: tuple[int, float], asked: list[tuple[float, float]]) -> None:
    amount, per = limit
    seen, _ = use(Rate(amount, per, -1e5), asked, 0.0)
    assert most_within(seen, per - TINY) <= amount


def saturated(rate: Rate, count: int) -> list[float]:
    """The times of tokens that are asked for as soon as there are any."""
    now, times = 0.0, []
    while len(times) < count:
        at = rate.take(now)
        if at <= now + HORIZON:
            times.append(at)
        else:
            now = at
    return times


@given(RATES, st.floats(0, 1))
def test_nor_in_the_worst_case(limit: tuple[int, float], place: float) -> None:
    """A burst is used as late as it may be, and all that follow at once."""
    amount, per = limit
    rate = Rate(amount, per, -1e6)
    times = saturated(rate, 3 * amount + 2)
    late = round(place * amount)
    seen = [time + (0.999 * grace(per) if number <= late else 0.0) for number, time in enumerate(times)]
    assert most_within(seen, per - TINY) <= amount


@given(RATES, st.lists(ASKED, min_size=2, max_size=5), st.floats(0, 100))
def test_nor_when_owners_die_one_after_the_other(
    limit: tuple[int, float], lives: list[list[tuple[float, float]]], pause: float
) -> None:
    """Each starts empty, once the last token of the one before may have been used up; nothing else is known to it."""
    amount, per = limit
    seen, now, since = [], 0.0, -1e5
    for asked in lives:
        more, now = use(Rate(amount, per, since), asked, now)
        seen += more
        since = now + SETTLE
        now = since + pause
    assert most_within(seen, per - TINY) <= amount


@given(RATES, ASKED, st.lists(st.booleans(), min_size=200, max_size=200))
def test_nor_when_tokens_are_given_back(
    limit: tuple[int, float], asked: list[tuple[float, float]], used: list[bool]
) -> None:
    amount, per = limit
    rate, now, seen = Rate(amount, per, -1e5), 0.0, []
    for (gap, late), is_used in zip(asked, used, strict=False):
        now += gap * rate.interval
        at = rate.take(now)
        if at > now + HORIZON:
            continue
        if is_used:
            seen.append(at + late * grace(per))
        else:
            rate.give_back(at)
    assert most_within(seen, per - TINY) <= amount


@given(RATES)
def test_most_of_it_can_be_used(limit: tuple[int, float]) -> None:
    amount, per = limit
    seen = saturated(Rate(amount, per, 0.0), 3 * amount + 2)
    assert (len(seen) - 1) / (seen[-1] - seen[0]) >= 0.9 * amount / per


@given(st.integers(1, 500), st.integers(1, 500), ASKED, ASKED)
def test_another_amount_counts_from_its_start(
    first: int, second: int, before: list[tuple[float, float]], after: list[tuple[float, float]]
) -> None:
    rate = Rate(first, 60.0, -1e5)
    seen, now = use(rate, before, 0.0)
    rate.change(second, now)
    more, _ = use(rate, after, now)
    assert most_within(seen + more, 60.0 - TINY) <= max(first, second)
    assert most_within(more, 60.0 - TINY) <= second


def test_bursts_are_a_twentieth() -> None:
    rate = Rate(100, 1.0, -10.0)
    assert [rate.take(0.0) for _ in range(6)] == [0.0] * 5 + [pytest.approx(rate.interval)]


def test_it_starts_empty() -> None:
    rate = Rate(1, 60.0, 100.0)
    assert rate.take(100.0) == 161.0
    assert rate.take(159.5) == 161.0


def test_a_token_beyond_the_horizon_is_not_taken() -> None:
    rate = Rate(1, 60.0, -100.0)
    assert rate.take(0.0) == 0.0
    assert rate.take(1.0) == rate.take(1.0) == 61.0
    assert not rate.is_full(60.9)
    assert rate.is_full(61.0)


def test_what_is_given_back_somebody_else_has() -> None:
    rate = Rate(1, 60.0, -100.0)
    rate.give_back(rate.take(0.0))
    assert rate.take(0.5) == 0.5
    assert rate.take(1.0) == 61.5


def test_only_the_last_can_be_given_back() -> None:
    rate = Rate(40, 1.0, -10.0)
    first, second = rate.take(0.0), rate.take(0.0)
    third = rate.take(0.0)
    assert first == second < third
    rate.give_back(first)
    assert rate.take(0.0) > third


def test_amounts_that_are_asked_for_in_turns_cost_no_tokens() -> None:
    """While a change goes round, some workers ask for the old amount and some for the new one."""
    rate = Rate(2000, 3600, -1e6)
    for _ in range(20):
        for amount in (1000, 2000):
            rate.change(amount, 0.0)
            rate.take(0.0)
    assert rate.take(0.0) < 3600
