"""Logins end: right, wrong, unknown, too often, too many at a time."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs
from users_support import PASSWORD, user

from common.listener import Logins as Settings
from common.users import credentials
from common.users.users import Users
from smtpd_ingress import logins as module
from smtpd_ingress.logins import BUSY, TOO_MANY_FAILURES, Logins
from smtpd_ingress.sasl import BAD_CREDENTIALS, MALFORMED, Check, Done, Failed

CLIENT = "192.0.2.1"
TIM = user("tim")
RIGHT, WRONG = Check("tim", PASSWORD), Check("tim", "wrong")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Verified:
    """``is_right`` as it is called: the hashes, and how many threads were in it at a time."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, password_hash: str, password: str) -> bool:
        with self._lock:
            self.hashes.append(password_hash)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return credentials.is_right(password_hash, password)
        finally:
            with self._lock:
                self._now -= 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Verified:
    spy = Verified()
    monkeypatch.setattr(module, "is_right", spy)
    return spy


@pytest.fixture
def logins(clock: Clock) -> Logins:
    settings = Settings(failures=5, within=600, refuse=300, max_delay=0, cache=300)
    return Logins(Users([TIM]), settings, clock)


async def test_right(logins: Logins) -> None:
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == TIM
    assert await logins.finish(CLIENT, "SCRAM-SHA-256", Done("tim")) == TIM


async def test_wrong_and_unknown_are_alike(logins: Logins, verified: Verified) -> None:
    with capture_logs() as lines:
        assert await logins.finish(CLIENT, "PLAIN", WRONG) == BAD_CREDENTIALS
        assert await logins.finish(CLIENT, "LOGIN", Check("nobody\x1b", PASSWORD)) == BAD_CREDENTIALS
        assert await logins.finish(CLIENT, "SCRAM-SHA-256", Failed(BAD_CREDENTIALS, "x")) == BAD_CREDENTIALS
    known, unknown = verified.hashes
    assert known == TIM.password_hash
    assert known.split("$")[:4] == unknown.split("$")[:4]  # the same work
    assert [line["event"] for line in lines] == [
        "unknown[192.0.2.1]: SASL PLAIN authentication failed: credentials invalid, sasl_username=tim",
        "unknown[192.0.2.1]: SASL LOGIN authentication failed: credentials invalid, sasl_username=nobody?",
        "unknown[192.0.2.1]: SASL SCRAM-SHA-256 authentication failed: credentials invalid, sasl_username=x",
    ]
    assert "wrong" not in repr(lines)
    assert PASSWORD not in repr(lines)


async def test_a_right_password_is_computed_once(logins: Logins, verified: Verified, clock: Clock) -> None:
    together = await asyncio.gather(*(logins.finish(CLIENT, "PLAIN", RIGHT) for _ in range(50)))
    assert together == [TIM] * 50
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == TIM
    assert len(verified.hashes) == 1
    assert await logins.finish(CLIENT, "PLAIN", WRONG) == BAD_CREDENTIALS
    assert len(verified.hashes) == 2
    clock.now += 300
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == TIM
    assert len(verified.hashes) == 3


async def test_a_password_that_was_changed_is_not_remembered(logins: Logins) -> None:
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == TIM
    changed = user("tim", "another")
    logins.users = Users([changed])
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == BAD_CREDENTIALS
    assert await logins.finish(CLIENT, "PLAIN", Check("tim", "another")) == changed
    logins.users = Users()
    assert await logins.finish(CLIENT, "PLAIN", Check("tim", "another")) == BAD_CREDENTIALS
    assert await logins.finish(CLIENT, "SCRAM-SHA-256", Done("tim")) == BAD_CREDENTIALS


async def test_too_many_failures(logins: Logins, verified: Verified, clock: Clock) -> None:
    """Many guesses at a time are no more guesses; then not even the right one counts."""
    guesses = [Check("tim", f"wrong{number}") for number in range(15)]
    replies = await asyncio.gather(*(logins.finish(CLIENT, "PLAIN", guess) for guess in guesses))
    assert replies == [BAD_CREDENTIALS] * 5 + [TOO_MANY_FAILURES] * 10
    assert len(verified.hashes) == 5
    assert logins.refused(CLIENT) == TOO_MANY_FAILURES
    for step in (RIGHT, Done("tim"), Failed(MALFORMED)):
        assert await logins.finish(CLIENT, "PLAIN", step) == TOO_MANY_FAILURES
    assert await logins.finish("192.0.2.2", "PLAIN", RIGHT) == TIM
    clock.now += 300
    assert not logins.refused(CLIENT)
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == TIM


async def test_failures_by_scram_count(logins: Logins) -> None:
    for _ in range(5):
        assert await logins.finish(CLIENT, "SCRAM-SHA-256", Failed(BAD_CREDENTIALS, "tim")) == BAD_CREDENTIALS
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == TOO_MANY_FAILURES


async def test_wrong_syntax_is_no_guess(logins: Logins) -> None:
    for _ in range(10):
        assert await logins.finish(CLIENT, "PLAIN", Failed(MALFORMED)) == MALFORMED
    assert not logins.refused(CLIENT)


async def test_a_flood_is_verified_one_at_a_time(
    logins: Logins, verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    monkeypatch.setattr(module, "MAX_WAITING_CLIENT", 3)
    flood = [Check("tim", f"wrong{number}") for number in range(20)]
    one = [logins.finish(CLIENT, "PLAIN", guess) for guess in flood[:5]]
    others = [logins.finish(f"198.51.100.{number}", "PLAIN", guess) for number, guess in enumerate(flood[5:])]
    replies = await asyncio.gather(*one, *others)
    assert replies == [BAD_CREDENTIALS] * 3 + [BUSY] * 2 + [BAD_CREDENTIALS] * 7 + [BUSY] * 8
    assert verified.most == 1
    assert await logins.finish(CLIENT, "PLAIN", RIGHT) == TIM  # the line is empty again


async def test_a_client_that_leaves_does_not_end_the_check_of_others(logins: Logins, verified: Verified) -> None:
    first = asyncio.create_task(logins.finish(CLIENT, "PLAIN", RIGHT))
    second = asyncio.create_task(logins.finish("192.0.2.2", "PLAIN", RIGHT))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == TIM
    assert len(verified.hashes) == 1


async def test_memory_is_bounded(logins: Logins, verified: Verified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHE", 1)
    logins.users = Users([TIM, user("tom")])
    for name in ("tim", "tom", "tom", "tim"):
        assert await logins.finish(CLIENT, "PLAIN", Check(name, PASSWORD)) == logins.users.get(name)
    assert len(verified.hashes) == 3
