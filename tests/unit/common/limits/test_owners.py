"""Who owns a key: one worker at a time, and a new owner waits until nobody grants as the old one."""

from collections import Counter
from collections.abc import Iterable

from common.limits.owners import FRESH, SETTLE, Owners, digest, owner_of
from common.queue.streams import LEASE

KEYS = [f"site:mx{i}.example" for i in range(400)]


def key_of(owner: str, workers: Iterable[str], not_of: Iterable[str] = ()) -> str:
    """A key that ``owner`` has among ``workers``, and not among others."""
    return next(key for key in KEYS if owner_of(key, workers) == owner and owner_of(key, not_of) != owner)


def see(owners: Owners, now: float, *live: str, leaving: Iterable[str] = ()) -> bool:
    return owners.see(now, dict.fromkeys(live, "1"), leaving)


def agree(owners: Owners, now: float, *others: str, on: Iterable[str]) -> None:
    for other in others:
        owners.agree(now, other, digest(on))


class TestWho:
    def test_shared_out_evenly(self) -> None:
        counts = Counter(owner_of(key, "abcd") for key in KEYS)
        assert min(counts.values()) > 60

    def test_who_goes_takes_nobody_elses(self) -> None:
        for key in KEYS:
            before = owner_of(key, "abcd")
            assert before == "d" or owner_of(key, "abc") == before

    def test_nobody_where_nobody_lives(self) -> None:
        owners = Owners("a")
        see(owners, 0.0, "a")
        see(owners, 1.0)
        assert owners.owner("x") == ""


class TestAtOnce:
    def test_who_is_alone(self) -> None:
        owners = Owners("a")
        see(owners, 10.0)
        see(owners, 11.0, "a")
        assert owners.wait("x", 11.0) == 0

    def test_alone_after_its_own_death(self) -> None:
        owners = Owners("a")
        see(owners, 10.0, "a")
        assert owners.wait("x", 10.0) == 0
        assert owners.since("x").empty_at == 10.0

    def test_founders(self) -> None:
        owners = Owners("a", "abc", 10.0)
        see(owners, 11.0, "b")
        see(owners, 12.0, "b", "a")
        assert owners.workers == frozenset("abc")
        assert owners.wait(key_of("a", "abc"), 12.0) == 0


class TestNotAtOnce:
    def test_alone_where_leases_may_be_missing(self) -> None:
        owners = Owners("a")
        owners.incomplete(15.0)
        see(owners, 10.0, "a")
        assert owners.wait("x", 10.0) == LEASE
        see(owners, 14.9, "a")
        assert owners.wait("x", 14.9) > 0
        see(owners, 15.0, "a")
        assert owners.wait("x", 15.0) == 0

    def test_a_founder_that_has_lived_before(self) -> None:
        owners = Owners("a", "abc", 10.0)
        see(owners, 15.0, "a", "b", "c")
        key = key_of("a", "abc")
        assert owners.wait(key, 15.0) == LEASE
        agree(owners, 16.0, "b", "c", on="abc")
        assert owners.wait(key, 16.0) == 0
        assert owners.since(key).empty_at == 15.0 + SETTLE  # it granted nothing since it died

    def test_a_founder_beside_a_stranger(self) -> None:
        owners = Owners("a", "ab", 10.0)
        see(owners, 11.0, "s")
        assert owners.wait(key_of("a", "as"), 11.0) if "a" in owners.workers else owners.workers == frozenset("s")

    def test_who_comes_anew_waits_until_all_agree(self) -> None:
        owners = Owners("c")
        see(owners, 10.0, "a", "b")
        see(owners, 11.0, "a", "b", "c")
        key = key_of("c", "abc")
        agree(owners, 12.0, "a", on="abc")
        agree(owners, 12.0, "b", on="ab")
        assert owners.wait(key, 12.0) == LEASE - 1
        agree(owners, 13.0, "b", on="abc")
        assert owners.wait(key, 13.0) == 0
        assert owners.since(key).empty_at == 13.0 + SETTLE

    def test_who_says_nothing_is_waited_for_as_long_as_a_lease(self) -> None:
        owners = Owners("b")
        see(owners, 10.0, "a")
        see(owners, 11.0, "a", "b")
        see(owners, 11.0 + LEASE, "a", "b")
        assert owners.wait(key_of("b", "ab"), 11.0 + LEASE) == 0

    def test_what_a_dead_one_had(self) -> None:
        owners = Owners("a", "abc", 0.0)
        see(owners, 1.0)
        see(owners, 50.0, "a", "b")
        mine, new = key_of("a", "abc"), key_of("a", "ab", not_of="abc")
        assert owners.wait(mine, 50.0) == 0
        assert owners.wait(new, 50.0) == LEASE
        agree(owners, 51.0, "b", on="ab")
        assert owners.wait(new, 51.0) == 0

    def test_who_is_leaving_has_to_agree_too(self) -> None:
        owners = Owners("a", "ab", 0.0)
        see(owners, 1.0)
        see(owners, 50.0, "a", leaving=["b"])
        key = key_of("a", "a", not_of="ab")
        assert owners.wait(key, 50.0) > 0
        agree(owners, 51.0, "b", on="a")
        assert owners.wait(key, 51.0) == 0

    def test_what_was_said_of_the_same_set_before(self) -> None:
        owners = Owners("a", "ab", 0.0)
        see(owners, 1.0)
        agree(owners, 40.0, "b", on="ab")
        see(owners, 50.0, "a", "b", "c")
        see(owners, 51.0, "a", "b")
        key = key_of("a", "ab", not_of="abc")
        assert owners.wait(key, 51.0) > 0
        agree(owners, 52.0, "b", on="ab")
        assert owners.wait(key, 52.0) == 0

    def test_who_has_not_looked_for_long(self) -> None:
        owners = Owners("a")
        see(owners, 10.0, "a")
        assert owners.wait("x", 10.0 + FRESH) == 0
        assert owners.wait("x", 10.1 + FRESH) > 0

    def test_who_stood_still_while_it_looked(self) -> None:
        """The answer is as old as the question."""
        owners = Owners("a")
        see(owners, 10.0, "a")
        owners.see(30.0, {"a": "1"}, (), asked=11.0)
        assert owners.wait("x", 30.0) > 0
        owners.see(30.1, {"a": "1"}, (), asked=30.0)
        assert owners.wait("x", 30.1) == 0


class TestMissingLeases:
    def test_those_known_before_stay(self) -> None:
        owners = Owners("a", "abc", 0.0)
        see(owners, 1.0)
        see(owners, 30.0, "a", "b", "c")
        owners.incomplete(45.0)
        assert not see(owners, 35.0, "a")
        assert owners.workers == frozenset("abc")
        assert see(owners, 46.0, "a", "b")
        assert owners.workers == frozenset("ab")

    def test_but_for_those_who_leave(self) -> None:
        owners = Owners("a", "ab", 0.0)
        see(owners, 1.0)
        owners.incomplete(45.0)
        see(owners, 35.0, "a", leaving=["b"])
        assert owners.workers == frozenset("a")


def test_a_key_keeps_its_era_while_it_stays_ours() -> None:
    owners = Owners("a", "ab", 0.0)
    see(owners, 1.0)
    see(owners, 30.0, "a", "b")
    key = next(key for key in KEYS if owner_of(key, "abc") == "a")
    first = owners.since(key)
    see(owners, 40.0, "a", "b", "c")
    assert owners.since(key) is first
    for i in range(100):
        see(owners, 50.0 + i, "a", *"bc"[: i % 2 + 1])
    assert owners.wait(key, 150.0) == 0 or owners.since(key).ready > first.ready


def test_alone_without_a_broker() -> None:
    owners = Owners.alone()
    assert owners.owner("x") == owners.me
    assert owners.wait("x", 1e9) == 0
