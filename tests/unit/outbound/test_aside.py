"""Few of those that lead nowhere end at a time, unless they are so many that nobody gets past."""

import pytest
from support import make_entry

from common import subjects
from common.queue.taken import Taken
from outbound import aside
from outbound.aside import Aside


def taken(number: int) -> Taken:
    entry = make_entry(f"r{number}@a.example")
    return Taken(subjects.entry("q", entry), entry, [], maybe_tried=False, waits=False)


class Line:
    """An aside, what it shed and whom it let go."""

    def __init__(self) -> None:
        self.shed: list[Taken] = []
        self.gone: list[Taken] = []
        self.aside = Aside(self._shed, self.gone.append)

    def _shed(self, taken: Taken) -> None:
        taken.entry = taken.entry.but(content=None)
        self.shed.append(taken)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr(aside, "FEW", 2)
    monkeypatch.setattr(aside, "CROWD", 6)
    monkeypatch.setattr(aside, "MAX_ASIDE", 8)
    return Line()


def test_few_end_at_a_time_in_their_order(line: Line) -> None:
    ones = [taken(i) for i in range(5)]
    assert [line.aside.enter(one) for one in ones] == [True, True, False, False, False]
    assert line.aside.waiting() == ones[2:]
    line.aside.leave(ones[0])
    line.aside.leave(ones[0])
    assert line.gone == ones[2:3]
    assert line.aside.enter(ones[2])  # it comes again, and has its place already
    line.aside.leave(ones[1])
    line.aside.leave(ones[2])
    assert line.gone == ones[2:]
    assert len(line.aside) == 0


def test_who_is_dropped_is_passed_over(line: Line) -> None:
    ones = [taken(i) for i in range(5)]
    for one in ones:
        line.aside.enter(one)
    ones[2].dropped = True
    line.aside.leave(ones[0])
    assert line.gone == [ones[3]]


def test_a_crowd_ends_together(line: Line) -> None:
    ones = [taken(i) for i in range(8)]
    for one in ones:
        line.aside.enter(one)
    assert not line.aside.is_full()
    assert line.aside.enter(taken(8))  # six wait by now
    line.aside.leave(ones[0])
    assert line.gone == ones[2:3]


def test_content_stays_up_to_a_bound(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    *ones, more = (taken(i) for i in range(6))
    for one in (*ones, more):
        one.entry = one.entry.but(content=b"12345678")
    monkeypatch.setattr(aside, "MAX_ASIDE_BYTES", 20)
    for one in ones:
        line.aside.enter(one)
    assert line.shed == ones[4:]
    line.aside.leave(ones[0])
    line.aside.enter(more)
    assert line.shed == [ones[4]]
    assert more in line.aside.waiting()


def test_what_waits_is_let_go_of(line: Line) -> None:
    ones = [taken(i) for i in range(4)]
    for one in ones:
        line.aside.enter(one)
    line.aside.clear()
    line.aside.leave(ones[0])
    assert line.gone == []
