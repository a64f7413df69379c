"""Windows of slots: never more than the amount in any window, and nothing is forgotten or kept too long."""

from hypothesis import given
from hypothesis import strategies as st
from users_support import user

from common.users.usage import SLOTS, Bound, Usage, bounds


def test_bounds() -> None:
    found = bounds(user(rate=["100/m", "50/60s", "1000/h"], quota=5000))
    assert [str(bound) for bound in found] == ["50/m mails", "1000/h mails", "5000/d recipients"]
    assert [bound.chunk for bound in found] == [2, 50, 50]
    assert bounds(user()) == []


TENTH = Bound("mails", 10, 100.0, 0)


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(1, 10)), max_size=80), st.integers(2, 1000))
def test_in_any_window_there_is_no_more(steps: list[tuple[float, int]], per: int) -> None:
    """Whatever is taken where there is room, written and read again each time."""
    bound = Bound("mails", 10, float(per), 0)
    now, usage, taken = 1.7e9, Usage(), list[tuple[float, int]]()
    for pause, count in steps:
        now += pause
        usage = Usage.unpack(usage.pack([bound], now))
        if usage.used(bound, now) + count <= bound.amount:
            usage.add(bound, bound.slot(now), count)
            taken.append((now, count))
    for start, _ in taken:
        assert sum(count for at, count in taken if start <= at < start + per) <= bound.amount


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 10)), max_size=20), st.integers(1, 10))
def test_when_there_is_room_again(took: list[tuple[int, int]], needed: int) -> None:
    usage, now = Usage(), 1000.0
    for at, count in took:
        if usage.used(TENTH, now) + count <= TENTH.amount:
            usage.add(TENTH, TENTH.slot(now - at), count)
    wait = usage.wait(TENTH, needed, now)
    assert usage.used(TENTH, now + wait) + needed <= TENTH.amount
    assert 0 <= wait <= TENTH.per + TENTH.width
    if wait:
        assert usage.used(TENTH, now + wait - 0.001) + needed > TENTH.amount


def test_what_is_given_back() -> None:
    usage = Usage()
    usage.add(TENTH, TENTH.slot(1000), 5)
    usage.add(TENTH, TENTH.slot(1000), -2)
    assert usage.used(TENTH, 1000) == 3
    usage.add(TENTH, TENTH.slot(1000), -9)  # never below nothing, whatever a copy put back says
    assert usage.used(TENTH, 1000) == 0


def test_only_what_counts_is_stored() -> None:
    usage = Usage()
    slot = TENTH.slot(1000)
    for old in (slot, slot - SLOTS, slot - SLOTS - 1):
        usage.add(TENTH, old, 1)
    usage.add(Bound("mails", 1, 60, 0), 5, 1)  # a rate that was taken away
    assert Usage.unpack(usage.pack([TENTH], 1000)).counts == {"mails/100": {slot: 1, slot - SLOTS: 1}}


@given(st.binary() | st.sampled_from([b"[]", b"{}", b'{"a": 1}', b'{"a": {"x": 1}}', b'{"a": {"1": null}}', b"3"]))
def test_what_cannot_be_read_counts_as_nothing(body: bytes) -> None:
    assert Usage.unpack(body).counts == {}
