"""Lanes shared out to workers: nobody gets what a living one holds, everybody else's is handed out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from queue_support import Outlet, connected, left, open_outlet, row, submit
from support import Nats, make_entry, until

from common import subjects
from common.broker import Broker, UnknownOutcomeError
from common.event import Type
from common.queue import lanes, leases, streams
from common.queue.lanes import owner_of


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that lapse after two seconds; before the streams are made."""
    for module in (streams, leases, lanes):
        monkeypatch.setattr(module, "LEASE", 2)
    monkeypatch.setattr(leases, "RENEW", 0.3)


@asynccontextmanager
async def worker(nats: Nats, slot: str) -> AsyncIterator[Outlet]:
    """A worker with a connection of its own."""
    async with connected(nats) as broker:
        outlet = await open_outlet(broker, slot)
        try:
            yield outlet
        finally:
            await outlet.close()


def domain_in(lane: int, count: int) -> str:
    return next(name for name in (f"d{i}.example" for i in range(9999)) if subjects.bucket(name) % count == lane)


async def submit_to(broker: Broker, domain: str, count: int) -> set[str]:
    """Their ids."""
    entries = [make_entry(f"r{i}@{domain}") for i in range(count)]
    for entry in entries:
        await submit(broker, entry)
    return {entry.id for entry in entries}


async def begin(outlet: Outlet, count: int) -> set[str]:
    """Take so many and begin them; their ids."""
    takens = [await outlet.take() for _ in range(count)]
    assert all(taken.begin() for taken in takens)
    return {taken.entry.id for taken in takens}


async def test_two_workers_share_what_is_there(nats: Nats, broker: Broker) -> None:
    ids = {id_ for i in range(20) for id_ in await submit_to(broker, f"d{i}.example", 2)}
    begun: dict[Outlet, list[str]] = {}

    async def work(outlet: Outlet) -> None:
        begun[outlet] = []
        while True:
            taken = await outlet.taker.take()
            if taken.begin():
                begun[outlet].append(taken.entry.id)

    async with worker(nats, "w1") as one, worker(nats, "w2") as two:
        await until(lambda: one.lanes._mine and two.lanes._mine and not one.lanes._mine & two.lanes._mine)
        working = [asyncio.create_task(work(outlet)) for outlet in (one, two)]
        await until(lambda: sum(map(len, begun.values())) == len(ids))
        for task in working:
            task.cancel()
    assert all(begun.values())
    assert {id_ for some in begun.values() for id_ in some} == ids


async def test_who_leaves_keeps_what_it_has_begun_and_gives_back_the_rest(nats: Nats, broker: Broker) -> None:
    leaving = await open_outlet(broker, "w1")
    async with worker(nats, "w2") as staying:
        await until(lambda: leaving.lanes._mine and staying.lanes._mine)
        lane = next(lane for lane in range(16) if owner_of(lane, ["w1", "w2"]) == "w1")
        ids = await submit_to(broker, domain_in(lane, leaving.lanes._count), 6)
        running = await leaving.take()
        assert running.begin()
        leaving.task.cancel()  # from here on as outbound.main does when told to stop
        await leaving.taker.leave_all()
        finish = asyncio.Event()

        async def finished() -> None:
            await finish.wait()
            await leaving.finisher.done(running, row(running.entry, Type.DELIVERED))

        left_ = asyncio.create_task(leaving.lanes.leave(finished()))
        assert await begin(staying, 5) == ids - {running.entry.id}
        finish.set()
        await left_
        assert staying.taker.held == len(await left(broker)) == 5
        assert await leases.live(broker, "leaving.default") == {}


async def test_a_dead_workers_entries_go_to_the_others(nats: Nats, broker: Broker) -> None:
    async with worker(nats, "w1") as dead, worker(nats, "w2") as alive:
        await until(lambda: dead.lanes._mine and alive.lanes._mine)
        lane = next(lane for lane in range(16) if owner_of(lane, ["w1", "w2"]) == "w1")
        ids = await submit_to(broker, domain_in(lane, dead.lanes._count), 3)
        assert await begin(dead, 3) == ids
        dead.task.cancel()
        takens = [await alive.take() for _ in range(3)]
        assert {taken.entry.id for taken in takens} == ids
        assert all([taken.maybe_tried and await alive.taker.is_current(taken) for taken in takens])


async def test_a_consumer_belongs_to_who_reads_it_not_to_who_made_it(nats: Nats, broker: Broker) -> None:
    maker = await open_outlet(broker, "w1")
    await until(lambda: len(maker.lanes._mine) == maker.lanes._count > 0)
    count = maker.lanes._count
    lane, last = next(
        (lane, slot) for lane in range(count) for slot in (f"w{i}" for i in range(3, 99))
        if owner_of(lane, ["w1", "w2"]) == "w2" and owner_of(lane, ["w1", "w2", slot]) == slot
    )  # fmt: skip
    async with worker(nats, "w2") as reader:
        await until(lambda: lane in reader.lanes._mine and lane not in maker.lanes._mine)
        maker.task.cancel()  # w1 dies and comes back as another incarnation
        async with worker(nats, "w1") as reborn:
            await until(lambda: reborn.lanes._mine)
            worked_on = await submit_to(broker, domain_in(lane, count), 4)
            assert await begin(reader, 4) == worked_on
            async with worker(nats, last) as newcomer:
                await until(lambda: lane in newcomer.lanes._mine and lane not in reader.lanes._mine)
                assert await submit_to(broker, domain_in(lane, count), 1) == await begin(newcomer, 1)
                assert newcomer.taker.held == 1


async def test_a_lease_that_lapsed_drops_what_had_not_begun(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    outlet = await open_outlet(broker)
    await submit_to(broker, "d1.example", 2)
    running, waiting = await outlet.take(), await outlet.take()
    assert running.begin()
    with monkeypatch.context() as patched:
        patched.setattr(leases, "renew", _unreachable)
        await until(lambda: _all_lapsed(broker))
        assert not waiting.dropped  # it cannot know yet
    await until(lambda: waiting.dropped)
    assert not waiting.begin()
    assert not running.dropped
    await outlet.finisher.done(running, row(running.entry, Type.DELIVERED))
    assert list(await left(broker)) == [waiting.subject]
    await outlet.close()


async def test_a_lease_that_lapses_while_it_asks_is_no_end(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    live, asked = leases.live, 0

    async def nobody_at_first(broker: Broker, prefix: str) -> dict[str, str]:
        nonlocal asked
        asked += 1
        return {} if asked <= 2 else await live(broker, prefix)

    monkeypatch.setattr(leases, "live", nobody_at_first)
    outlet = await open_outlet(broker)
    assert await submit_to(broker, "d1.example", 1) == await begin(outlet, 1)
    await outlet.close()


async def test_a_consumer_that_somebody_deletes_is_made_again(broker: Broker) -> None:
    outlet = await open_outlet(broker)
    await submit_to(broker, "d1.example", 2)
    running, waiting = await outlet.take(), await outlet.take()
    assert running.begin()
    await broker.api(f"CONSUMER.DELETE.MQ_default.{waiting.copies[0].reader.consumer.name}")
    again = await outlet.take()
    assert waiting.dropped
    assert again.entry.id == waiting.entry.id
    assert len(running.copies) == 2  # ours already: adopted, not worked on twice
    await outlet.finisher.done(running, row(running.entry, Type.DELIVERED))
    assert list(await left(broker)) == [waiting.subject]
    await outlet.close()


async def test_lanes_taken_by_halves_are_taken_whole_in_the_next_round(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, renew, failed, rounds = broker.api, leases.renew, False, 0

    async def fails_once(verb: str, *args: Any) -> Any:
        nonlocal failed
        if verb == "CONSUMER.CREATE.MQ_default.lane3b" and not failed:
            failed = True
            raise UnknownOutcomeError("lost")
        return await api(verb, *args)

    async def counted(*args: Any) -> None:
        nonlocal rounds
        rounds += 1
        await renew(*args)

    monkeypatch.setattr(broker, "api", fails_once)
    monkeypatch.setattr(leases, "renew", counted)
    outlet = await open_outlet(broker)
    await until(lambda: rounds)
    await submit_to(broker, domain_in(3, await lanes.lane_count(broker, "default")), 1)
    await outlet.take()
    assert (failed, rounds) == (True, 2)
    await outlet.close()


async def test_what_happens_during_a_round_is_looked_at_at_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, rounds = leases.live, 0

    async def meanwhile(broker: Broker, prefix: str) -> dict[str, str]:
        nonlocal rounds
        if prefix == "worker.default":
            rounds += 1
            if rounds == 1:
                outlet.lanes.look_again()
        return await live(broker, prefix)

    monkeypatch.setattr(leases, "RENEW", 3600)
    monkeypatch.setattr(leases, "live", meanwhile)
    outlet = await open_outlet(broker)
    await until(lambda: rounds == 2)
    await outlet.close()


async def test_who_came_while_it_looked_keeps_its_consumers(
    nats: Nats, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = leases.live
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def looked_a_while_ago(asking: Broker, prefix: str) -> dict[str, str]:
        found = await live(asking, prefix)
        if asking is broker and not waiting.is_set():
            waiting.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(leases, "live", looked_a_while_ago)
    early = await open_outlet(broker, "w1")
    await waiting.wait()  # it has seen only itself
    async with worker(nats, "w2") as late:
        await until(lambda: late.lanes._mine)
        lane = min(late.lanes._mine)
        ids = await submit_to(broker, domain_in(lane, late.lanes._count), 3)
        takens = [await late.take() for _ in ids]
        assert all(taken.begin() for taken in takens)
        go_on.set()
        await until(lambda: lane in early.lanes._mine)
        await until(lambda: lane not in early.lanes._mine)  # given over in its next round
        consumer = takens[0].copies[0].reader.consumer
        info = await broker.api(f"CONSUMER.INFO.MQ_default.{consumer.name}")
        assert (info["created"], info["num_redelivered"]) == (consumer.created, 0)
        assert early.taker.held == 0
    await early.close()


async def test_what_the_former_reader_has_begun_is_not_handed_out_when_its_successor_dies(
    nats: Nats, broker: Broker
) -> None:
    former = await open_outlet(broker, "w1")
    await until(lambda: len(former.lanes._mine) == former.lanes._count > 0)
    count = former.lanes._count
    lane = next(lane for lane in range(count) if owner_of(lane, ["w1", "w2"]) == "w2")
    await submit_to(broker, domain_in(lane, count), 1)
    running = await former.take()
    assert running.begin()
    successor = await open_outlet(broker, "w2")
    await until(lambda: lane in successor.lanes._mine and lane not in former.lanes._mine)
    successor.task.cancel()  # it dies and comes back as another incarnation
    async with worker(nats, "w2") as reborn:
        await until(lambda: f"lane{lane}c" in reborn.taker._readers)  # the last one it reads
        name = running.copies[0].reader.consumer.name
        info = await broker.api(f"CONSUMER.INFO.MQ_default.{name}")
        assert info["created"] == running.copies[0].reader.consumer.created
        assert reborn.taker.held == 0
        await former.finisher.done(running, row(running.entry, Type.DELIVERED))
        assert await left(broker) == {}
        await until(lambda: _is_read_by(broker, name, reborn))  # so that the next crash costs no wait
    await former.close()


async def _is_read_by(broker: Broker, name: str, outlet: Outlet) -> bool:
    info = await broker.api(f"CONSUMER.INFO.MQ_default.{name}")
    return bool(info["config"]["metadata"]["postjet_readers"] == outlet.lanes.incarnation)


async def test_a_newcomer_is_noticed_at_once(nats: Nats, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW", 3600)
    first = await open_outlet(broker, "w1")
    await until(lambda: len(first.lanes._mine) == first.lanes._count > 0)
    monkeypatch.setattr(leases, "LEASE", 3600)
    async with worker(nats, "w2") as second:
        await until(lambda: second.lanes._mine and not first.lanes._mine & second.lanes._mine)
    await first.close()


async def _unreachable(*_: Any) -> None:
    raise UnknownOutcomeError("lost")


async def _all_lapsed(broker: Broker) -> bool:
    return not await leases.live(broker, "worker.default")
