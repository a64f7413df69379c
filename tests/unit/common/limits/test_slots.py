"""Slots: never more held than there are, in the order in which they were asked for."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from common.limits.slots import Slot, Slots

AMOUNT = 3


def slot(worker: str, number: int, group: str = "site") -> Slot:
    return Slot(worker, number, group)


class Workers(RuleBasedStateMachine):
    """Two workers ask, give back, report and die; the owner may die too and knows nothing afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(AMOUNT)
        self.number = 0
        self.waiting: dict[str, set[int]] = {"a": set(), "b": set()}
        self.holding: dict[str, set[int]] = {"a": set(), "b": set()}

    def told(self, granted: list[Slot]) -> None:
        for one in granted:
            self.waiting[one.worker].discard(one.number)
            self.holding[one.worker].add(one.number)

    @rule(worker=st.sampled_from("ab"))
    def ask(self, worker: str) -> None:
        self.number += 1
        self.waiting[worker].add(self.number)
        assert not self.slots.ask(slot(worker, self.number), 1e9)
        self.told(self.slots.grant(0.0))

    @rule(worker=st.sampled_from("ab"))
    def give_back(self, worker: str) -> None:
        if self.holding[worker]:
            self.slots.free(slot(worker, self.holding[worker].pop()))
            self.told(self.slots.grant(0.0))

    @rule(worker=st.sampled_from("ab"))
    def give_up(self, worker: str) -> None:
        if self.waiting[worker]:
            self.slots.free(slot(worker, self.waiting[worker].pop()))

    @rule(worker=st.sampled_from("ab"))
    def report(self, worker: str) -> None:
        known = self.holding[worker] | self.waiting[worker]
        self.slots.keep(worker, known, self.number, dict.fromkeys(self.holding[worker], "site"))
        self.told(self.slots.grant(0.0))

    @rule(worker=st.sampled_from("ab"))
    def die(self, worker: str) -> None:
        self.holding[worker].clear()
        self.waiting[worker].clear()
        self.slots.forget(worker)
        self.told(self.slots.grant(0.0))

    @rule()
    def owner_dies(self) -> None:
        self.slots = Slots(AMOUNT)
        for worker in "ab":
            self.slots.keep(worker, self.holding[worker], self.number, dict.fromkeys(self.holding[worker], "site"))
        for worker in "ab":
            for number in self.waiting[worker]:
                self.slots.ask(slot(worker, number), 1e9)
        self.told(self.slots.grant(0.0))

    @invariant()
    def no_more_than_there_are(self) -> None:
        assert sum(map(len, self.holding.values())) <= AMOUNT

    @invariant()
    def none_is_lost(self) -> None:
        assert {(s.worker, s.number) for s in self.slots.held} == {(w, n) for w in "ab" for n in self.holding[w]}
        if any(self.waiting.values()):
            assert len(self.slots.held) == AMOUNT


TestWorkers = Workers.TestCase


def test_first_come_first_served() -> None:
    slots = Slots(1)
    for number in range(3):
        slots.ask(slot("a", number), 9.0)
    assert slots.grant(0.0) == [slot("a", 0)]
    slots.free(slot("a", 0))
    assert slots.grant(0.0) == [slot("a", 1)]


def test_who_has_least_comes_first() -> None:
    slots = Slots(3)
    for number in range(4):
        slots.ask(slot("a", number, "one"), 9.0)
    slots.grant(0.0)
    slots.ask(slot("b", 1, "one"), 9.0)
    slots.ask(slot("a", 9, "two"), 9.0)
    slots.free(slot("a", 0))
    assert slots.grant(0.0) == [slot("a", 9)]
    slots.free(slot("a", 1))
    assert slots.grant(0.0) == [slot("b", 1)]


def test_who_asks_again_keeps_its_place_and_what_it_was_granted() -> None:
    slots = Slots(1)
    slots.ask(slot("a", 1), 9.0)
    slots.ask(slot("b", 1), 9.0)
    slots.grant(0.0)
    assert slots.ask(slot("a", 1), 9.0)
    slots.free(slot("a", 1))
    slots.ask(slot("c", 1), 9.0)
    slots.ask(slot("b", 1), 10.0)
    assert slots.grant(0.0) == [slot("b", 1)]


def test_who_does_not_ask_again_is_passed_over() -> None:
    slots = Slots(1)
    slots.ask(slot("a", 1), 3.0)
    slots.ask(slot("b", 1), 9.0)
    assert slots.grant(4.0) == [slot("b", 1)]


def test_a_report_says_nothing_of_what_was_asked_after_it() -> None:
    slots = Slots(2)
    slots.ask(slot("a", 1), 9.0)
    slots.ask(slot("a", 2), 9.0)
    slots.grant(0.0)
    slots.keep("a", set(), 1, {})
    assert slots.held == {slot("a", 2)}


def test_a_smaller_amount_takes_nothing_away_but_grants_nothing() -> None:
    slots = Slots(2)
    slots.ask(slot("a", 1), 9.0)
    slots.ask(slot("a", 2), 9.0)
    slots.grant(0.0)
    slots.amount = 1
    slots.ask(slot("a", 3), 9.0)
    slots.free(slot("a", 1))
    assert slots.grant(0.0) == []
    slots.free(slot("a", 2))
    assert slots.grant(0.0) == [slot("a", 3)]


def hold(slots: Slots, worker: str, group: str, numbers: range) -> None:
    slots.held |= {slot(worker, number, group) for number in numbers}


class TestWhoYields:
    def test_who_holds_most(self) -> None:
        slots = Slots(5)
        hold(slots, "a", "one", range(2))
        hold(slots, "a", "two", range(2, 5))
        giver = slots.to_yield(slot("b", 1, "three"))
        assert giver
        assert (giver.worker, giver.group) == ("a", "two")

    def test_the_same_site_in_another_worker(self) -> None:
        slots = Slots(5)
        hold(slots, "a", "one", range(5))
        giver = slots.to_yield(slot("b", 1, "one"))
        assert giver
        assert giver.worker == "a"

    def test_sites_share_whoever_works_for_them(self) -> None:
        slots = Slots(4)
        for worker in "abcd":
            hold(slots, worker, "one", range(1))
        giver = slots.to_yield(slot("a", 9, "two"))
        assert giver
        assert giver.group == "one"

    def test_nobody_who_would_only_ask_back(self) -> None:
        slots = Slots(5)
        hold(slots, "a", "one", range(3))
        hold(slots, "b", "one", range(2))
        assert slots.to_yield(slot("b", 9, "one")) is None
        assert slots.to_yield(slot("a", 9, "one")) is None

    def test_not_oneself(self) -> None:
        slots = Slots(2)
        hold(slots, "a", "one", range(2))
        assert slots.to_yield(slot("a", 9, "one")) is None
