"""An outage is told when it begins, rarely after that, and when it is over."""

from events.outage import REPEAT, Outage


def test_told_once_then_rarely_then_its_end() -> None:
    now = 100.0
    outage = Outage(lambda: now)
    assert outage.ends() is None
    assert [outage.goes_on("a") for _ in range(3)] == [True, False, False]
    now += REPEAT
    assert [outage.goes_on("a") for _ in range(2)] == [True, False]
    assert [outage.goes_on("b"), outage.goes_on("b")] == [True, False]
    now += 5
    assert outage.ends() == REPEAT + 5
    assert outage.ends() is None
    assert outage.goes_on("b")
