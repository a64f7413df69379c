"""Failed logins by address: counted, slowed, refused, forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.listener import Logins
from smtpd_ingress import guesses
from smtpd_ingress.guesses import Guesses, network


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counted(clock: Clock) -> Guesses:
    return Guesses(Logins(failures=10, within=600, refuse=300, max_delay=10), clock)


def test_answers_come_later_and_later(counted: Guesses) -> None:
    assert [counted.failed("192.0.2.1") for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert counted.failed("192.0.2.2") == 0.5


def test_too_many_are_refused_for_a_while(counted: Guesses, clock: Clock) -> None:
    for _ in range(9):
        counted.failed("192.0.2.1")
    assert not counted.refused("192.0.2.1")
    counted.failed("192.0.2.1")
    assert counted.refused("192.0.2.1")
    assert not counted.refused("192.0.2.2")
    clock.now += 299
    assert counted.refused("192.0.2.1")
    clock.now += 1
    assert not counted.refused("192.0.2.1")


def test_one_that_fails_now_and_then_is_never_refused(counted: Guesses, clock: Clock) -> None:
    for _ in range(100):
        assert counted.failed("192.0.2.1") == 0.5
        clock.now += 60
    assert not counted.refused("192.0.2.1")


def test_a_64_of_ipv6_is_one_client(counted: Guesses) -> None:
    for number in range(10):
        counted.failed(f"2001:db8:1:2::{number}")
    assert counted.refused("2001:db8:1:2:ffff::1")
    assert not counted.refused("2001:db8:1:3::1")
    assert network("2001:db8:1:2::5") == "2001:db8:1:2::/64"


def test_memory_is_bounded(counted: Guesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "MAX_CLIENTS", 5)
    for _ in range(10):
        counted.failed("192.0.2.1")
    for number in range(10, 14):
        counted.failed(f"192.0.2.{number}")
    assert counted.refused("192.0.2.1")
    counted.failed("192.0.2.14")
    assert not counted.refused("192.0.2.1")  # it failed longest ago
    assert len(counted) == 5


@given(st.lists(st.floats(0, 100), max_size=60))
def test_in_any_time_there_are_no_more_guesses(pauses: list[float]) -> None:
    """In any ``within`` at most twice ``failures``: those of a full count, and as many as are forgotten meanwhile."""
    clock = Clock()
    counted = Guesses(Logins(failures=5, within=60, refuse=60, max_delay=0), clock)
    made = []
    for pause in pauses:
        clock.now += pause
        if not counted.refused("192.0.2.1"):
            counted.failed("192.0.2.1")
            made.append(clock.now)
    assert all(sum(at <= other < at + 60 for other in made) <= 10 for at in made)
