"""When a message is tried again, and when an endpoint is left alone."""

from hypothesis import given
from hypothesis import strategies as st

from events.hooks.retry import DELAYS, LATER, MOST_ASKED, Breaker, delay


def test_over_days() -> None:
    waits = [delay(tries, 0.5) for tries in range(1, 12)]
    assert waits == [*DELAYS, LATER, LATER, LATER, LATER]
    assert sum(waits) > 2 * 86_400


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_jitter(tries: int, chance: float) -> None:
    assert 0.8 * delay(tries, 0.5) <= delay(tries, chance) <= 1.2 * delay(tries, 0.5)


def test_what_the_endpoint_asks_for() -> None:
    assert delay(1, 0, 120) == 120
    assert delay(3, 0, 1) == 240
    assert delay(1, 0, 1e9) == MOST_ASKED


def failures(breaker: Breaker, count: int, now: float = 0) -> list[bool]:
    return [breaker.failed(now) for _ in range(count)]


def test_left_alone_after_so_many_failures_together() -> None:
    breaker = Breaker()
    assert failures(breaker, 4) == [False] * 4
    assert breaker.pause(0) == 0
    assert failures(breaker, 1) == [True]
    assert breaker.pause(0) == 5


def test_a_success_between_them() -> None:
    breaker = Breaker()
    failures(breaker, 4)
    assert not breaker.succeeded()
    assert failures(breaker, 4) == [False] * 4
    assert not breaker.is_open


def test_one_at_a_time_looks_and_seldomer() -> None:
    breaker = Breaker()
    failures(breaker, 5)
    assert [breaker.pause(5), breaker.pause(5)] == [0, 1]
    assert not breaker.failed(5)
    assert breaker.pause(6) == 9
    for day in range(1, 20):
        assert breaker.pause(86_400 * day) == 0
        breaker.failed(86_400 * day)
    assert breaker.pause(86_400 * 19) == Breaker.MOST


def test_what_was_on_its_way_does_not_count() -> None:
    breaker = Breaker()
    failures(breaker, 20)
    assert breaker.pause(1) == 4


def test_nothing_to_look_with() -> None:
    breaker = Breaker()
    failures(breaker, 5)
    assert breaker.pause(5) == 0
    breaker.nothing()
    assert breaker.pause(5) == 0


def test_it_answers_again() -> None:
    breaker = Breaker()
    failures(breaker, 5)
    breaker.pause(5)
    assert breaker.succeeded()
    assert [breaker.pause(5), breaker.pause(5)] == [0, 0]
