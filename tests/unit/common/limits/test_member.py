"""Workers on a real broker ask one another: exact while owners come, go, die and are cut off."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from limits_support import most_within
from queue_support import connected
from support import Nats, until

from common.broker import Broker
from common.ids import new_id
from common.limits import member as member_module
from common.limits import owner as owner_module
from common.limits import owners as owners_module
from common.limits.client import Lease
from common.limits.limit import Limit, What
from common.limits.member import Member
from common.limits.owners import Owners, owner_of
from common.queue import leases, streams

SLOTS = Limit("site:x", What.CONNECTIONS, 3)
RATE = Limit("site:x", What.MESSAGES, 20, 1.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that lapse after two seconds; before the streams are made."""
    for module in (streams, leases, owners_module, owner_module, member_module):
        if hasattr(module, "LEASE"):
            monkeypatch.setattr(module, "LEASE", 2)
    monkeypatch.setattr(leases, "RENEW", 0.3)
    monkeypatch.setattr(owners_module, "SETTLE", 0.5)
    monkeypatch.setattr(owners_module, "FRESH", 1.2)


class Cluster:
    """Workers, and how many connections are open at the host whose limit they share."""

    def __init__(self, nats: Nats) -> None:
        self.nats = nats
        self.workers: dict[str, Worker] = {}
        self.open = self.max_open = 0
        self.begun: list[float] = []
        self._stack = contextlib.AsyncExitStack()

    async def start(self, *names: str, founders: tuple[str, ...] = ()) -> None:
        founded = time.monotonic()
        for name in names:
            broker = await self._stack.enter_async_context(connected(self.nats))
            self.workers[name] = worker = Worker(self, name, broker, Owners(name, founders, founded))
            await worker.start()

    @property
    def owner(self) -> "Worker":
        return self.workers[owner_of(SLOTS.key, self.workers)]

    async def kill(self, name: str) -> None:
        """Its connections are closed by the kernel."""
        worker = self.workers.pop(name)
        await worker.die()
        await worker.broker.close()

    def changed(self, by: int) -> None:
        self.open += by
        self.max_open = max(self.max_open, self.open)

    async def close(self) -> None:
        for worker in self.workers.values():
            await worker.die()
        await self._stack.aclose()


class Worker:
    """Opens connections and begins mails as fast as it may."""

    def __init__(self, cluster: Cluster, name: str, broker: Broker, owners: Owners) -> None:
        self.cluster, self.name, self.broker = cluster, name, broker
        self.member = Member(broker, owners, new_id())
        self.served = 0
        self.renewing = asyncio.Event()
        self.renewing.set()
        self._open = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.member.start()
        self.spawn(self._renew(), self.member.keep())

    def work(self, rate: bool = False) -> None:
        self.spawn(*(self._serve(rate) for _ in range(4)))

    def spawn(self, *work: object) -> None:
        self._tasks += [asyncio.ensure_future(one) for one in work]  # type: ignore[call-overload]

    async def _renew(self) -> None:
        while True:
            await self.renewing.wait()
            with contextlib.suppress(Exception):
                await leases.renew(self.broker, f"worker.{self.name}", self.member.incarnation)
            await asyncio.sleep(0.3)

    async def _serve(self, rate: bool) -> None:
        limiter = self.member.limiter
        while True:
            lease: Lease = await limiter.lease([SLOTS], "x", lambda _: None)
            self._open += 1
            self.cluster.changed(1)
            try:
                await asyncio.sleep(0.01)
                if rate and (await limiter.tokens([RATE]))[0] == 0:
                    self.cluster.begun.append(time.monotonic())
            finally:
                if self._open:
                    self._open -= 1
                    self.cluster.changed(-1)
                    lease.release()
            self.served += 1

    async def die(self) -> None:
        self.cluster.changed(-self._open)
        self._open = 0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def cluster(nats: Nats, broker: Broker) -> AsyncIterator[Cluster]:
    cluster = Cluster(nats)
    yield cluster
    await cluster.close()


NAMES = ("p.a", "p.b", "p.c")


async def served(cluster: Cluster, more: int = 40) -> None:
    """Every worker has served so many more."""
    before = {worker: worker.served for worker in cluster.workers.values()}
    await until(lambda: all(worker.served >= count + more for worker, count in before.items()), 30)


async def test_slots_are_shared(cluster: Cluster) -> None:
    await cluster.start(*NAMES, founders=NAMES)
    for worker in cluster.workers.values():
        worker.work()
    await served(cluster)
    assert cluster.max_open == SLOTS.amount


async def test_the_owner_dies(cluster: Cluster) -> None:
    await cluster.start(*NAMES, founders=NAMES)
    for worker in cluster.workers.values():
        worker.work()
    await served(cluster)
    await cluster.kill(cluster.owner.name)
    await served(cluster)
    assert cluster.max_open == SLOTS.amount


async def test_what_an_heir_holds_itself_counts(cluster: Cluster) -> None:
    await cluster.start(*NAMES, founders=NAMES)
    heir = cluster.workers[owner_of(SLOTS.key, cluster.workers.keys() - {cluster.owner.name})]
    held = [await heir.member.limiter.lease([SLOTS], "x", lambda _: None) for _ in range(SLOTS.amount)]
    await cluster.kill(cluster.owner.name)
    third = next(worker for worker in cluster.workers.values() if worker is not heir)
    third.work()
    grants = heir.member.limiter.owner
    await until(lambda: (slots := grants._slots.get(SLOTS.key)) and slots.next())
    assert heir.member.owners.wait(SLOTS.key, time.monotonic()) == 0
    assert (third.served, grants.used(SLOTS.key)) == (0, SLOTS.amount)
    held[0].release()
    await until(lambda: third.served)
    assert cluster.max_open == 1


async def test_who_stands_still_while_it_looks_has_lapsed_before_it_sees_anew(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.start(*NAMES, founders=NAMES)
    member = cluster.owner.member
    lease = await member.limiter.lease([SLOTS], "x", lambda _: None)
    assert lease.valid
    monkeypatch.setattr(member_module, "FRESH", 1.0)
    monkeypatch.setattr(owners_module, "FRESH", 1.0)
    live, see, valid, slow = leases.live, member.owners.see, list[bool](), list[float]()

    async def until_old(broker: Broker, *prefixes: str) -> dict[str, str]:
        age = time.monotonic() - member.owners.seen
        if broker is member.broker and not slow and age > 0.2:  # so that the question is not too old itself
            slow.append(age)
            await until(lambda: not member.owners.is_fresh(time.monotonic()))
        return await live(broker, *prefixes)

    def see_and_look(*arguments: Any) -> bool:
        changed = see(*arguments)
        if slow:
            valid.append(lease.valid)
        return changed

    monkeypatch.setattr(leases, "live", until_old)
    monkeypatch.setattr(member.owners, "see", see_and_look)
    await until(lambda: len(valid) > 2 and member.owners.is_fresh(time.monotonic()))
    assert not any(valid)
    lease.release()


async def test_the_owner_dies_and_comes_back(cluster: Cluster) -> None:
    await cluster.start(*NAMES, founders=NAMES)
    for worker in cluster.workers.values():
        worker.work(rate=True)
    await served(cluster, 10)
    name = cluster.owner.name
    await cluster.kill(name)
    await cluster.start(name)
    cluster.workers[name].work(rate=True)
    await served(cluster, 10)
    assert cluster.max_open == SLOTS.amount
    assert most_within(cluster.begun, RATE.per) <= RATE.amount


async def test_one_comes_and_takes_keys_over(cluster: Cluster) -> None:
    newcomer = next(f"p.n{i}" for i in range(99) if owner_of(SLOTS.key, [*NAMES, f"p.n{i}"]) == f"p.n{i}")
    await cluster.start(*NAMES, founders=NAMES)
    for worker in cluster.workers.values():
        worker.work(rate=True)
    await served(cluster, 10)
    await cluster.start(newcomer)
    cluster.workers[newcomer].work(rate=True)
    await until(lambda: cluster.owner.member.limiter.owner.used(SLOTS.key))
    assert cluster.owner.name == newcomer
    await served(cluster, 10)
    assert cluster.max_open == SLOTS.amount
    assert most_within(cluster.begun, RATE.per) <= RATE.amount


async def test_the_broker_dies_and_comes_back(cluster: Cluster) -> None:
    """It forgets all leases: nobody takes those who are not back yet for dead."""
    await cluster.start(*NAMES, founders=NAMES)
    for worker in cluster.workers.values():
        worker.work()
    await served(cluster)
    cluster.nats.kill()
    cluster.nats.start()
    await until(lambda: all(worker.broker.client.is_connected for worker in cluster.workers.values()))
    await served(cluster)
    assert cluster.max_open == SLOTS.amount


async def test_after_a_restart_of_the_broker_nobody_is_taken_for_dead(cluster: Cluster) -> None:
    await cluster.start(*NAMES)
    first, *others = cluster.workers.values()
    owners = first.member.owners
    await until(lambda: owners.workers == frozenset(NAMES) and owners.is_complete(time.monotonic()))
    for worker in others:
        worker.renewing.clear()
    cluster.nats.kill()
    cluster.nats.start()
    restarted = time.monotonic()
    await until(lambda: owners.seen > restarted)
    assert list(first.member._incarnations) in ([], [first.name])
    assert owners.workers == frozenset(NAMES)


async def test_who_holds_and_dies_gives_back(cluster: Cluster) -> None:
    await cluster.start(*NAMES, founders=NAMES)
    holder = next(worker for worker in cluster.workers.values() if worker is not cluster.owner)
    for _ in range(SLOTS.amount):
        await holder.member.limiter.lease([SLOTS], "x", lambda _: None)
    cluster.owner.work()
    await until(lambda: cluster.owner.member.limiter.owner.used(SLOTS.key) == SLOTS.amount)
    assert cluster.owner.served == 0
    await cluster.kill(holder.name)
    await until(lambda: cluster.owner.served > 10)


async def test_alone_no_message_is_sent(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    await cluster.start("p.a", founders=("p.a",))
    sent: list[str] = []
    send = Broker.publish

    async def publish(self: Broker, subject: str, body: bytes, reply: str = "") -> None:
        sent.append(subject)
        await send(self, subject, body, reply)

    monkeypatch.setattr(Broker, "publish", publish)
    cluster.owner.work(rate=True)
    await served(cluster, 10)
    assert [subject for subject in sent if subject.startswith("limits.")] == []
