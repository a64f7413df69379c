"""The worker: what it takes ends once, and what is not its own any more is left alone."""

import asyncio
from pathlib import Path

from queue_support import batch, connected, left, rows, submit
from support import Nats, make_entry, until
from worker_support import Working, finished, start

from common.broker import Broker


async def test_what_is_delivered_is_told_and_gone(broker: Broker, working: Working) -> None:
    await submit(broker, *batch(6))
    await submit(broker, make_entry("x@d0.example"))
    for i in range(3):
        working.world.sites[f"d{i}.example"].gate.set()
    await until(lambda: finished(broker))
    await until(lambda: not working.worker._tasks)
    assert sorted(await rows(broker)) == ["accepted"] * 2 + ["delivered"] * 7
    assert not working.world.busy
    assert not working.worker.park.parked


async def test_a_broker_away_stops_the_worker_and_lets_it_go_on(nats: Nats, broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    entries = [make_entry(f"r{i}@a.example") for i in range(6)]
    for entry in entries:
        await submit(broker, entry)
    await until(lambda: working.worker.park.parked == 5)
    nats.kill()
    site.gate.set()  # the one under way ends, and its outcome cannot be stored
    await until(lambda: not working.outlet.finisher.clear.is_set())
    nats.start()
    await until(lambda: broker.client.is_connected)
    await until(lambda: working.outlet.finisher.clear.is_set())
    await until(lambda: finished(broker))
    assert sorted(site.asked) == sorted(entry.recipient for entry in entries)
    assert sorted(await rows(broker)) == ["accepted"] * 6 + ["delivered"] * 6


async def test_told_to_stop_nothing_begins_any_more(broker: Broker, working: Working) -> None:
    world = working.world
    world.found.clear()
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: world.asked == 1)
    draining = asyncio.create_task(working.worker.drain(5))
    await asyncio.sleep(0)
    world.found.set()
    await draining
    assert world.sites["a.example"].asked == []
    assert working.worker.park.parked == 0


async def test_two_workers_of_which_one_is_told_to_stop(nats: Nats, broker: Broker, tmp_path: Path) -> None:
    """What it has begun is its own to the end; what it has not begun is the other's."""
    leaving = await start(broker, tmp_path, "w1")
    running, waiting = make_entry("running@a.example"), make_entry("waiting@a.example")
    await submit(broker, running)
    await until(lambda: leaving.world.sites["a.example"].asked)
    await submit(broker, waiting)
    await until(lambda: leaving.worker.park.parked == 1)
    async with connected(nats) as other:
        staying = await start(other, tmp_path, "w2")
        staying.world.sites["a.example"].gate.set()
        await until(lambda: staying.outlet.lanes._mine)
        leaving.task.cancel()  # from here on as outbound.main does when told to stop
        leaving.outlet.task.cancel()
        await leaving.outlet.taker.leave_all()
        left_ = asyncio.create_task(leaving.outlet.lanes.leave(leaving.worker.drain(30)))
        await until(lambda: staying.world.sites["a.example"].asked)
        leaving.world.sites["a.example"].gate.set()
        await left_
        assert await left(broker) == {}
        assert leaving.world.sites["a.example"].asked == [running.recipient]
        assert staying.world.sites["a.example"].asked == [waiting.recipient]
        assert await rows(broker) == ["accepted", "accepted", "delivered", "delivered"]
        await staying.close()
