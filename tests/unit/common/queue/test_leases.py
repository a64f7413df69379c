"""Alone is alone: by lease, over crashes and over a broker that goes away."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from queue_support import connected
from support import Nats, until

from common.broker import Broker
from common.queue import leases, streams


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that lapse after two seconds; before the streams are made."""
    for module in (streams, leases):
        monkeypatch.setattr(module, "LEASE", 2)
    monkeypatch.setattr(leases, "RENEW", 0.3)


class Contender:
    """One of those who want to do some work alone."""

    def __init__(self, broker: Broker, holder: str) -> None:
        self.broker, self.holder = broker, holder
        self.stopping, self.finish = asyncio.Event(), asyncio.Event()
        self.running = False
        self.begun = 0
        self.task = asyncio.create_task(leases.while_alone(broker, "work", holder, self.work, self.stopping))

    async def work(self) -> None:
        self.running, self.begun = True, self.begun + 1
        try:
            await self.finish.wait()
        finally:
            self.running = False

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """How often a holder has asked for a lease."""
    create, asked = leases._create, list[str]()

    async def counted(broker: Broker, key: str, holder: str) -> int:
        asked.append(holder)
        return await create(broker, key, holder)

    monkeypatch.setattr(leases, "_create", counted)
    return asked.count


def lease_of(broker: Broker, holder: str) -> Callable[[], Awaitable[bool]]:
    async def held() -> bool:
        stored = await broker.last("KV_leases", "$KV.leases.work")
        return (stored.body.decode() if stored else "") == holder

    return held


async def test_only_one_works_and_the_other_follows_when_it_gives_up(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counting(monkeypatch)
    first = Contender(broker, "one")
    await until(lambda: first.running)
    second = Contender(broker, "two")
    await until(lambda: asked("two") >= 3)
    assert not second.begun
    await first.close()
    assert not first.running
    await until(lambda: second.running)
    await second.close()
    assert await lease_of(broker, "")()


async def test_work_that_ends_gives_up_the_lease(broker: Broker) -> None:
    first = Contender(broker, "one")
    await until(lambda: first.running)
    first.stopping.set()
    first.finish.set()
    await first.task
    assert await lease_of(broker, "")()


async def test_the_same_holder_takes_over_at_once(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    await leases.renew(broker, "work", "one")  # of an incarnation that died
    asked = counting(monkeypatch)
    first = Contender(broker, "one")
    await until(lambda: first.running)
    assert asked("one") == 1
    await first.close()


async def test_a_dead_holders_lease_lapses(broker: Broker) -> None:
    await leases.renew(broker, "work", "dead")
    first = Contender(broker, "one")
    await until(lambda: first.running)
    await first.close()


async def test_a_lease_that_cannot_be_renewed_ends_the_work_until_it_can(nats: Nats, broker: Broker) -> None:
    first = Contender(broker, "one")
    await until(lambda: first.running)
    nats.kill()
    await until(lambda: not first.running)
    nats.start()
    await until(lambda: first.running)
    assert first.begun == 2
    await first.close()


async def test_who_lost_its_lease_stops_and_leaves_the_new_holder_alone(nats: Nats, broker: Broker) -> None:
    first = Contender(broker, "one")
    await until(lambda: first.running)
    async with connected(nats) as other:
        await leases.give_up(other, "work")  # as if it had lapsed while the first was stopped
        second = Contender(other, "two")
        await until(lambda: second.running)
        await until(lambda: not first.running)
        assert await lease_of(broker, "two")()
        assert (second.running, second.begun) == (True, 1)
        await second.close()
    await first.close()


async def test_live_ones_by_prefix(broker: Broker) -> None:
    assert await leases.live(broker, "worker.default") == {}
    await leases.renew(broker, "worker.default.w1", "one")
    await leases.renew(broker, "worker.default.w2", "two")
    await leases.renew(broker, "worker.other.w1", "three")
    assert await leases.live(broker, "worker.default") == {"worker.default.w1": "one", "worker.default.w2": "two"}
    await leases.give_up(broker, "worker.default.w1")
    assert await leases.live(broker, "worker.default") == {"worker.default.w2": "two"}
