"""Buckets in which much waits are read by consumers of their own; nothing comes twice, nothing is left behind."""

import asyncio

import pytest
from queue_support import Outlet, connected, left, open_outlet, row, submit
from support import Nats, make_entry, until

from common import subjects
from common.broker import Broker, BrokerError, UnknownOutcomeError
from common.event import Type
from common.ids import new_id
from common.queue import consumers, lanes, leases, streams, take
from common.queue.consumers import name_of, own_name
from common.queue.taken import Taken

SLOW = "slow.example"
BUCKET = subjects.bucket(SLOW)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small numbers, and leases that lapse after two seconds; before the streams are made."""
    for module in (streams, leases, lanes):
        monkeypatch.setattr(module, "LEASE", 2)
    monkeypatch.setattr(leases, "RENEW", 0.2)
    monkeypatch.setattr(take, "OUTGROWN", 20)
    monkeypatch.setattr(take, "OWN_WAITING", 12)
    monkeypatch.setattr(lanes, "IDLE", 0.3)


async def backlog(broker: Broker, count: int, domain: str = SLOW) -> set[str]:
    entries = [make_entry(f"r{i}@{domain}", submission=new_id()) for i in range(count)]
    for first in range(0, count, 50):
        await asyncio.gather(*(submit(broker, entry) for entry in entries[first : first + 50]))
    return {entry.id for entry in entries}


async def take_all(outlet: Outlet, into: list[Taken]) -> None:
    """Take whatever comes, and begin nothing."""
    while True:
        into.append(await outlet.take())


async def names(broker: Broker) -> list[str]:
    page = await broker.api("CONSUMER.NAMES.MQ_default", {"offset": 0})
    return sorted(page["consumers"])


async def key_of_slow(broker: Broker) -> tuple[int, str]:
    return BUCKET % await lanes.lane_count(broker, "default"), "b"


async def test_what_lies_behind_much_that_waits_comes_all_the_same(broker: Broker) -> None:
    await backlog(broker, 100)
    other = make_entry(f"x@{beside(SLOW, await lanes.lane_count(broker, 'default'))}")
    await submit(broker, other)
    outlet, key = await open_outlet(broker), await key_of_slow(broker)
    taken = [await outlet.take() for _ in range(take.OUTGROWN)]
    await until(lambda: _has_own(broker, key))
    taking = asyncio.create_task(take_all(outlet, taken))
    await until(lambda: any(one.entry.id == other.id for one in taken))
    waiting = [one for one in taken if one.waits]
    assert len({one.entry.id for one in waiting}) == len(waiting) <= 1 + take.OWN_WAITING + take.PULL
    taking.cancel()
    await outlet.close()


def beside(domain: str, count: int) -> str:
    """Another domain of the same lane."""
    of = subjects.bucket(domain)
    return next(
        name
        for name in (f"d{i}.example" for i in range(99999))
        if subjects.bucket(name) != of and subjects.bucket(name) % count == of % count
    )


async def finish_all(outlet: Outlet, seen: list[str]) -> None:
    """Begin and finish whatever comes, one at a time."""
    while True:
        taken = await outlet.take()
        if await outlet.taker.is_current(taken) and taken.begin():
            seen.append(taken.entry.id)
            await outlet.finisher.done(taken, row(taken.entry, Type.DELIVERED))


async def test_everything_goes_once_out_of_the_lane_and_back(broker: Broker) -> None:
    ids = await backlog(broker, 60)
    outlet, key, seen = await open_outlet(broker), await key_of_slow(broker), list[str]()
    running, *waiting = [await outlet.take() for _ in range(take.OUTGROWN - 1)]
    assert running.begin()  # at it while its consumer goes
    waiting += [await outlet.take() for _ in range(2)]
    await until(lambda: _has_own(broker, key))
    for one in waiting:
        if one.begin():  # the last ones may be of the new consumer
            seen.append(one.entry.id)
            await outlet.finisher.done(one, row(one.entry, Type.DELIVERED))
    finishing = asyncio.create_task(finish_all(outlet, seen))
    await until(lambda: len(seen) == 59)
    seen.append(running.entry.id)
    await outlet.finisher.done(running, row(running.entry, Type.DELIVERED))
    assert sorted(seen) == sorted(ids)
    assert await left(broker) == {}
    await until(lambda: _is_alone(broker, key))
    more = await backlog(broker, 3)
    await until(lambda: len(seen) == 63)
    assert set(seen[60:]) == more
    finishing.cancel()
    await outlet.close()


async def _has_own(broker: Broker, key: tuple[int, str]) -> bool:
    return own_name(key, BUCKET) in await names(broker)


async def _is_alone(broker: Broker, key: tuple[int, str]) -> bool:
    found = await names(broker)
    return name_of(key) in found and own_name(key, BUCKET) not in found


async def test_what_was_not_handed_out_before_need_not_be_looked_up(broker: Broker) -> None:
    outlet, key = await open_outlet(broker), await key_of_slow(broker)
    await until(lambda: len(outlet.taker._readers) == 3 * outlet.lanes._count)
    await backlog(broker, 200)
    first = [await outlet.take() for _ in range(take.OUTGROWN)]
    await until(lambda: _has_own(broker, key))
    taken = list(first)  # the last ones may be of the new consumer
    taking = asyncio.create_task(take_all(outlet, taken))
    await until(lambda: _begin_all(taken, 200))
    looked_up = {one.entry.id for one in taken if one.begun and one.maybe_tried}
    assert {one.entry.id for one in first if one.dropped} <= looked_up
    assert len(looked_up) < 200
    taking.cancel()
    await outlet.close()


def _begin_all(taken: list[Taken], count: int) -> bool:
    for one in taken:
        if one.waits:
            one.begin()
    return sum(one.begun for one in taken) == count


@pytest.mark.parametrize("verb", ["CONSUMER.DELETE.MQ_default.lane", "CONSUMER.CREATE.MQ_default.lane"])
async def test_who_dies_while_it_reshapes_leaves_nothing_behind(nats: Nats, broker: Broker, verb: str) -> None:
    ids = await backlog(broker, 60)
    key = await key_of_slow(broker)
    async with connected(nats) as dying:
        api, stuck = dying.api, asyncio.Event()

        async def dies(asked: str, *args: object) -> object:
            if dying_outlet.lanes._consumers._shapes and asked.startswith(verb):
                stuck.set()
                await asyncio.Event().wait()
            return await api(asked, *args)  # type: ignore[arg-type]

        dying.api = dies  # type: ignore[method-assign,assignment]
        dying_outlet = await open_outlet(dying, "w0")
        taking = asyncio.create_task(take_all(dying_outlet, []))
        await stuck.wait()
        taking.cancel()
        dying_outlet.task.cancel()
    seen: list[str] = []
    outlet = await open_outlet(broker, "w0")
    finishing = asyncio.create_task(finish_all(outlet, seen))
    await until(lambda: len(seen) == 60)
    assert sorted(seen) == sorted(ids)
    await until(lambda: _is_alone(broker, key))
    finishing.cancel()
    await outlet.close()


async def test_a_dead_workers_own_consumers_go_with_its_lanes(nats: Nats, broker: Broker) -> None:
    ids = await backlog(broker, 60)
    key = await key_of_slow(broker)
    async with connected(nats) as other:
        dead = await open_outlet(other, "w0")
        taking = asyncio.create_task(take_all(dead, []))
        await until(lambda: _has_own(broker, key))
        taking.cancel()
        dead.task.cancel()
    seen: list[str] = []
    outlet = await open_outlet(broker, "w0")
    finishing = asyncio.create_task(finish_all(outlet, seen))
    await until(lambda: len(seen) == 60)
    assert sorted(seen) == sorted(ids)
    finishing.cancel()
    await outlet.close()


async def test_who_takes_a_lane_over_from_a_living_one_reads_it_as_it_is(nats: Nats, broker: Broker) -> None:
    ids = await backlog(broker, 60)
    count = await lanes.lane_count(broker, "default")
    key = await key_of_slow(broker)
    slot = next(f"w{i}" for i in range(1, 99) if lanes.owner_of(BUCKET % count, ["w0", f"w{i}"]) != "w0")
    first, taken = await open_outlet(broker, "w0"), list[Taken]()
    taking = asyncio.create_task(take_all(first, taken))
    await until(lambda: _has_own(broker, key))
    await until(lambda: any(one.waits for one in taken))
    taking.cancel()
    running = next(one for one in taken if one.waits)
    assert running.begin()
    async with connected(nats) as other:
        second, seen = await open_outlet(other, slot), list[str]()
        finishing = asyncio.create_task(finish_all(second, seen))
        await until(lambda: len(seen) == 59)
        assert set(seen) == ids - {running.entry.id}
        await first.finisher.done(running, row(running.entry, Type.DELIVERED))
        assert await left(broker) == {}
        finishing.cancel()
        await second.close()
    await first.close()


async def test_a_lane_that_somebody_else_reads_too_is_left_as_it_is(broker: Broker) -> None:
    outlet = await open_outlet(broker)
    key = await key_of_slow(broker)
    await until(lambda: key in outlet.lanes._read)
    info = await broker.api(f"CONSUMER.INFO.MQ_default.{name_of(key)}")
    info["config"]["metadata"]["postjet_readers"] += " another"
    definition = {"stream_name": "MQ_default", "config": info["config"]}
    await broker.api(f"CONSUMER.CREATE.MQ_default.{name_of(key)}", definition)
    await leases.renew(broker, "leaving.default.wx", "another")
    assert not await outlet.lanes._consumers.may_reshape(key)
    await outlet.close()


async def test_a_broker_that_fails_meanwhile(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    api, failures = broker.api, iter([UnknownOutcomeError("lost"), BrokerError(10023, "full")])

    async def fails(asked: str, *args: object) -> object:
        making = asked.startswith("CONSUMER.CREATE.MQ_default.lane") and outlet.lanes._consumers._shapes
        if making and (failure := next(failures, None)):
            raise failure
        return await api(asked, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(broker, "api", fails)
    ids = await backlog(broker, 60)
    outlet, taken = await open_outlet(broker), list[Taken]()
    taking = asyncio.create_task(take_all(outlet, taken))
    await until(lambda: next(failures, "none") == "none" or (taken and _begin_all(taken, 60)))
    await until(lambda: _begin_all(taken, 60))
    assert {one.entry.id for one in taken if one.begun} == ids
    taking.cancel()
    await outlet.close()


async def test_no_more_are_taken_out_than_a_worker_may_have(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "ALL_OUT", 1)
    await backlog(broker, 60)
    outlet, key, taken = await open_outlet(broker), await key_of_slow(broker), list[Taken]()
    taking = asyncio.create_task(take_all(outlet, taken))
    await until(lambda: _has_own(broker, key))
    second = beside(SLOW, await lanes.lane_count(broker, "default"))
    await backlog(broker, 2 * take.OUTGROWN, second)
    await until(lambda: sum(one.entry.domain == second and one.waits for one in taken) == 2 * take.OUTGROWN)
    outlet.taker.crowded()
    assert outlet.lanes._outgrown
    await until(lambda: not outlet.lanes._outgrown)
    assert [name for name in await names(broker) if "-" in name] == [own_name(key, BUCKET)]
    taking.cancel()
    await outlet.close()


def test_most_that_may_be_out_keeps_the_filters_few() -> None:
    out = set(range(0, 64 * consumers.MOST_OUT, 64))
    assert len(subjects.lane_filters("default", 0, 4, "b", out)) < 2000


async def test_a_bucket_is_taken_out_after_another_worker_has_ended(nats: Nats, broker: Broker) -> None:
    key, names = await key_of_slow(broker), ["w0", "w1"]
    slot = lanes.owner_of(key[0], names)
    ending = await open_outlet(broker, slot, "a")
    await until(lambda: ending.lanes._read)
    async with connected(nats) as other:
        staying = await open_outlet(other, next(name for name in names if name != slot), "b")
        await until(lambda: staying.lanes._workers == names)
        ending.task.cancel()  # from here on as outbound.main does when told to stop
        await ending.taker.leave_all()

        async def work() -> None:
            await until(lambda: key in staying.lanes._read)

        await ending.lanes.leave(work())
        await until(lambda: _lives_alone(broker, "b"))
        await backlog(broker, 100)
        taking = asyncio.create_task(take_all(staying, []))
        await until(lambda: _has_own(broker, key))
        taking.cancel()
        await staying.close()


async def _lives_alone(broker: Broker, incarnation: str) -> bool:
    leaving = await leases.live(broker, "leaving.default")
    return {*(await leases.live(broker, "worker.default")).values(), *leaving.values()} == {incarnation}
