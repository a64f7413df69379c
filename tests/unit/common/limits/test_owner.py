"""The owner's side: whom it believes, whom it tells and what it forgets."""

import pytest

from common.limits.limit import Limit, What
from common.limits.owner import YIELD_EVERY, Owner, Use
from common.limits.owners import Owners, digest, owner_of
from common.limits.slots import SETTLED, Slot
from common.queue.streams import LEASE

SLOTS = Limit("site:x", What.CONNECTIONS, 2)
RATE = Limit("site:x", What.MESSAGES, 60, 60.0)
ME = next(name for name in "abcdefgh" if owner_of(SLOTS.key, [name, "z", "y"]) == name)


class World:
    """An owner among others, its clock and what it told."""

    def __init__(self) -> None:
        self.time = 100.0
        self.told: list[tuple[str, str, object, object]] = []
        self.owners = Owners(ME, [ME, "y", "z"], self.time)
        self.owner = Owner(self.owners, lambda *what: self.told.append(what), lambda: self.time)
        self.look("y", "z")

    def look(self, *others: str) -> None:
        if self.owners.see(self.time, dict.fromkeys(others, "1") | ({ME: "1"} if self.owners.workers else {}), ()):
            self.owner.owners_changed()

    def ask(self, worker: str, number: int, group: str = "x") -> bool:
        self.owner.hear(worker, "1")
        return self.owner.slot(SLOTS, Slot(worker, number, group))


@pytest.fixture
def world() -> World:
    return World()


def test_who_waits_is_told(world: World) -> None:
    assert [world.ask("y", 1), world.ask("y", 2), world.ask("z", 1)] == [True, True, False]
    world.told.clear()
    world.owner.free(SLOTS.key, Slot("y", 1, "x"))
    assert world.told == [("z", "granted", SLOTS.key, 1)]
    assert world.ask("z", 1)


def test_a_new_incarnation_holds_nothing(world: World) -> None:
    world.ask("y", 1)
    world.ask("y", 2)
    world.owner.hear("y", "2")
    assert world.owner.used(SLOTS.key) == 0


def test_who_is_not_heard_of_for_a_lease_holds_nothing(world: World) -> None:
    world.ask("y", 1)
    world.time += LEASE
    world.owner.tidy()
    assert world.owner.used(SLOTS.key) == 1
    world.time += 0.1
    world.owner.tidy()
    assert world.owner.used(SLOTS.key) == 0


def test_nobody_is_taken_for_dead_whom_we_could_not_hear(world: World) -> None:
    world.ask("y", 1)
    world.time += LEASE + 1
    world.owners.incomplete(world.time + 1)
    world.owner.tidy()
    assert world.owner.used(SLOTS.key) == 1


def test_who_holds_most_is_asked_to_yield_now_and_then(world: World) -> None:
    world.ask("y", 1)
    world.ask("y", 2)
    assert not world.ask("z", 1)
    assert not world.ask("z", 1)
    assert world.told == [("y", "yield", SLOTS.key, "x")]
    world.time += YIELD_EVERY
    world.look("y", "z")
    world.ask("z", 1)
    assert len(world.told) == 2


def test_what_is_idle_is_given_up_for_who_has_more(world: World) -> None:
    world.ask("y", 1)
    world.ask("z", 1)
    assert not world.ask("z", 2)
    assert world.told == [("y", "spare", SLOTS.key, "x")]


def test_what_is_reported_before_we_know_that_it_is_ours(world: World) -> None:
    other = next(name for name in (f"n{i}" for i in range(99)) if owner_of(SLOTS.key, [ME, "y", "z", name]) == name)
    world.time += LEASE
    world.look("y", "z", other)
    assert world.owners.owner(SLOTS.key) == other
    world.owner.report("y", 2, {SLOTS.key: {1: "x", 2: "x"}}, set())
    world.owner.tidy()
    world.look("y", "z")
    assert world.owner.used(SLOTS.key) == 2


def test_not_ready_nothing_is_granted(world: World) -> None:
    other = next(name for name in (f"n{i}" for i in range(99)) if owner_of(SLOTS.key, [ME, "y", "z", name]) == name)
    world.time += LEASE
    world.look("y", "z", other)
    world.look("y", "z")
    assert not world.ask("y", 1)
    wait, at = world.owner.token(RATE, 0.0)
    assert 0 < wait < 1
    assert at == 0
    for worker in ("y", "z"):
        world.owners.agree(world.time, worker, digest([ME, "y", "z"]))
    assert world.ask("y", 1)
    wait, _ = world.owner.token(RATE, 0.0)
    assert wait > 1  # empty: nobody knows what the former owner has granted


def test_rates_of_different_windows_are_different_limits(world: World) -> None:
    world.time += 1000
    world.look("y", "z")
    hourly = Limit(RATE.key, RATE.what, 60, 3600.0)
    assert [world.owner.token(limit, 0.0)[0] for limit in (RATE, hourly)] == [0.0, 0.0]


def test_room_is_made_for_who_has_least_whoever_asks(world: World) -> None:
    key = next(f"provider:{i}" for i in range(99) if owner_of(f"provider:{i}", [ME, "y", "z"]) == ME)
    limit = Limit(key, What.CONNECTIONS, 2)
    for number in (1, 2):
        assert world.owner.slot(limit, Slot("y", number, "one"))
    world.owner.slot(limit, Slot("z", 1, "two"))
    world.told.clear()
    world.time += YIELD_EVERY
    world.look("y", "z")
    world.owner.slot(limit, Slot("y", 3, "one"))
    assert world.told == [("y", "yield", key, "one")]


def test_of_two_amounts_the_lower_counts_until_it_is_not_asked_under_any_more(world: World) -> None:
    """A rule has changed, and workers learn of it one after the other."""
    fewer = Limit(SLOTS.key, SLOTS.what, 1)
    assert world.owner.slot(fewer, Slot("y", 1, "x"))
    for second in range(3):
        world.time += 1
        world.look("y", "z")
        assert not world.ask("z", 1)
        assert not world.owner.slot(fewer, Slot("y", 2, "x")), second
    world.time += SETTLED
    world.look("y", "z")
    assert not world.ask("z", 1)
    world.time += 0.1
    assert world.ask("z", 1)
    assert not world.owner.slot(fewer, Slot("y", 2, "x"))
    assert world.owner.used(SLOTS.key) == 2


def test_what_is_in_use_is_told_of_our_own_keys_only(world: World) -> None:
    assert world.owner.use(SLOTS) == Use(0, 0, 0)
    for worker, number in (("y", 1), ("y", 2), ("z", 1)):
        world.ask(worker, number)
    assert world.owner.use(SLOTS) == Use(2, 1, 0)
    theirs = next(key for key in (f"site:{i}" for i in range(99)) if world.owners.owner(key) != ME)
    assert world.owner.use(Limit(theirs, What.CONNECTIONS, 2)) is None


def test_when_the_next_token_comes_is_told_and_costs_none(world: World) -> None:
    assert world.owner.use(RATE) == Use(0, 0, 0)
    wait = 0.0
    while wait < 2:
        wait, _ = world.owner.token(RATE, 0.0)
    assert world.owner.use(RATE) == Use(0, 0, wait) == world.owner.use(RATE)
    world.time += wait
    world.look("y", "z")
    assert world.owner.use(RATE) == Use(0, 0, 0)


def test_what_is_not_granted_yet_is_told(world: World) -> None:
    other = next(name for name in (f"n{i}" for i in range(99)) if owner_of(SLOTS.key, [ME, "y", "z", name]) == name)
    world.time += LEASE
    world.look("y", "z", other)
    world.look("y", "z")
    use = world.owner.use(SLOTS)
    assert use
    assert 0 < use.wait <= LEASE
