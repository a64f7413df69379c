"""What a worker asks: many limits at once, and owners that change while it asks."""

import asyncio
from typing import Any, cast

import pytest
from support import until

from common.limits.client import Limiter, Nobody
from common.limits.limit import Limit, What
from common.limits.owners import FRESH, Owners, owner_of
from common.queue.streams import LEASE


def connections(key: str, amount: int) -> Limit:
    return Limit(key, What.CONNECTIONS, amount)


class TestSlots:
    async def test_all_or_nothing(self) -> None:
        limiter = Limiter.alone()
        site, provider = connections("site:x", 2), connections("provider:y", 1)
        lease = limiter.lease_now((site, provider), "x")
        assert lease
        assert limiter.lease_now((site, provider), "x") is None
        assert (limiter.owner.used("site:x"), limiter.owner.used("provider:y")) == (1, 1)
        lease.release()
        lease.release()
        assert (limiter.owner.used("site:x"), limiter.owner.used("provider:y")) == (0, 0)

    async def test_who_waits_holds_nothing(self) -> None:
        limiter = Limiter.alone()
        site, provider = connections("site:x", 2), connections("provider:y", 3)
        held = [limiter.lease_now((provider,), "z") for _ in range(3)]
        waits: list[Limit] = []
        waiting = asyncio.create_task(limiter.lease((site, provider), "x", waits.append))
        await until(lambda: waits)
        assert waits == [provider]
        assert limiter.owner.used("site:x") == 0
        assert held[0]
        held[0].release()
        lease = await waiting
        assert (limiter.owner.used("site:x"), limiter.owner.used("provider:y")) == (1, 3)
        lease.release()

    async def test_who_gives_up_leaves_the_line(self) -> None:
        limiter = Limiter.alone()
        site = connections("site:x", 1)
        lease = limiter.lease_now((site,), "x")
        waiting = asyncio.create_task(limiter.lease((site,), "x", lambda _: None))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert lease
        lease.release()
        assert limiter.owner.used("site:x") == 0
        assert limiter.report(limiter.owners.me)[1:] == ({}, [])

    async def test_granted_by_who_is_no_owner_any_more(self) -> None:
        """The new owner does not know of it."""
        site = connections(next(f"site:{i}" for i in range(99) if owner_of(f"site:{i}", "ab") == "b"), 1)
        owners = Owners("a", "ab", 0.0)
        owners.see(1.0, {}, ())
        told: list[tuple[object, ...]] = []

        class Dying(Nobody):
            async def ask(self, worker: str, verb: str, *arguments: object) -> Any:
                owners.see(20.0, {"a": "1"}, ())
                return True

            def tell(self, worker: str, verb: str, *arguments: object) -> None:
                told.append((worker, verb, *arguments))

        limiter = Limiter(owners, Dying(), lambda: 20.0)
        waits: list[Limit] = []
        waiting = asyncio.create_task(limiter.lease((site,), "x", waits.append))
        await until(lambda: waits)
        assert told == [("b", "free", site.key, 1, "x")]
        assert limiter.report("a")[1:] == ({}, [1])
        waiting.cancel()
        await asyncio.wait([waiting])


class TestLapsed:
    """Who stood still for long may not use what others may have given away meanwhile."""

    SITE = connections(next(f"site:{i}" for i in range(99) if owner_of(f"site:{i}", "ab") == "b"), 5)

    @pytest.fixture
    def other(self) -> "Other":
        return Other()

    async def test_what_is_held_is_not_good_for_more(self, other: "Other") -> None:
        other.answer = True
        lease = await other.limiter.lease((self.SITE,), "x", lambda _: None)
        assert lease.valid
        other.now += FRESH + 0.1
        assert not lease.valid
        other.limiter.lapse()
        other.see()
        assert not lease.valid  # whatever is seen later
        assert other.limiter.report("b")[1] == {self.SITE.key: {1: "x"}}  # it counts until it is closed
        lease.release()
        assert (await other.limiter.lease((self.SITE,), "x", lambda _: None)).valid
        assert (other.limiter.lease_now((), "x") or lease).valid

    async def test_an_old_answer_and_an_old_grant_are_given_back(self, other: "Other") -> None:
        waits: list[Limit] = []

        async def stand_still() -> bool:
            other.now += FRESH + 0.1
            return True

        other.answer = stand_still
        waiting = asyncio.create_task(other.limiter.lease((self.SITE,), "x", waits.append))
        await until(lambda: waits)
        assert other.told == [("b", "free", self.SITE.key, 1, "x")]
        other.limiter.granted("b", self.SITE.key, 1)
        assert other.told == [("b", "free", self.SITE.key, 1, "x")] * 2
        other.see()
        other.limiter.granted("b", self.SITE.key, 1)
        assert (await waiting).valid

    async def test_nobody_is_taken_for_dead_whom_it_could_not_hear(self, other: "Other") -> None:
        key = next(f"site:{i}" for i in range(99) if owner_of(f"site:{i}", "ab") == "a")
        owner = other.limiter.owner
        owner.hear("b", "1")
        owner.report("b", 1, {key: {1: "x"}}, set())
        for used in (1, 0):  # what it says is still to be read; then nothing comes
            other.now += LEASE + 0.1
            if used:
                other.limiter.lapse()
            other.see()
            owner.tidy()
            assert owner.used(key) == used


class Other(Nobody):
    """The owner of the other worker's keys, and the clock."""

    def __init__(self) -> None:
        self.now, self.answer, self.told = 20.0, cast(Any, None), list[Any]()
        self.limiter = Limiter(Owners("a", "ab", 0.0), self, lambda: self.now)
        self.limiter.owners.see(1.0, {}, ())
        self.see()

    def see(self) -> None:
        self.limiter.owners.see(self.now, {"a": "1", "b": "1"}, ())

    async def ask(self, worker: str, verb: str, *arguments: object) -> Any:
        return await self.answer() if callable(self.answer) else self.answer

    def tell(self, worker: str, verb: str, *arguments: object) -> None:
        self.told.append((worker, verb, *arguments))


class TestTokens:
    @pytest.fixture
    def limiter(self) -> Limiter:
        return Limiter.alone()

    async def test_none_for_long_is_told_and_the_others_are_given_back(self, limiter: Limiter) -> None:
        fast, slow = Limit("domain:x", What.MESSAGES, 100, 1.0), Limit("site:x", What.MESSAGES, 1, 3600.0)
        assert await limiter.tokens([fast, slow]) == (0.0, None)
        wait, limit = await limiter.tokens([fast, slow])
        assert limit == slow
        assert 3500 < wait < 3700

    async def test_one_that_fits_all(self, limiter: Limiter) -> None:
        """The second waits for a token of the slower rate, and takes one of the faster for the same time."""
        limits = [Limit("domain:x", What.MESSAGES, 10, 1.0), Limit("provider:x", What.MESSAGES, 100, 1.0)]
        for _ in range(3):
            assert await limiter.tokens(limits) == (0.0, None)

    async def test_nobody_to_ask(self) -> None:
        owners = Owners("a")
        owners.see(1.0, {"a": "1"}, ())
        owners.see(2.0, {}, ())
        wait, _ = await Limiter(owners, Nobody()).tokens([Limit("site:x", What.MESSAGES, 1, 1.0)])
        assert 0 < wait < 2
