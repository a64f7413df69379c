from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common.policies.policy import Policy
from outbound.retry import next_attempt

POLICY = Policy()


@given(st.integers(0, 1000), st.floats(0, 86399))
def test_between_first_and_longest_delay_and_never_past_expiry(attempts: int, age: float) -> None:
    entry = make_entry()
    now = entry.accepted + age
    at = next_attempt(entry.expires, attempts, now, POLICY)
    assert at is not None
    assert min(now + 300 * 0.9, entry.expires) <= at <= min(now + 14400 * 1.1, entry.expires)


def test_the_delay_grows() -> None:
    entry = make_entry(expires=1e12)
    policy = Policy(retry_jitter=0)
    delays = [next_attempt(entry.expires, attempts, 0, policy) for attempts in range(1, 8)]
    assert delays == [300, 600, 1200, 2400, 4800, 9600, 14400]


def test_given_up_after_expiry_and_after_enough_attempts() -> None:
    entry = make_entry()
    assert next_attempt(entry.expires, 1, entry.expires, POLICY) is None
    assert next_attempt(entry.expires, 3, entry.accepted, Policy(max_attempts=3)) is None
    assert next_attempt(entry.expires, 2, entry.accepted, Policy(max_attempts=3)) is not None


def test_a_list_of_delays() -> None:
    entry = make_entry(expires=1e12)
    policy = Policy(retry=(60, 300, 900), retry_jitter=0)
    assert [next_attempt(entry.expires, attempts, 0, policy) for attempts in range(6)] == [60, 60, 300, 900, 900, 900]
