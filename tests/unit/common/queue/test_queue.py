"""The queue's verbs against the real nats-server."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
from queue_support import CONTENT, Outlet, batch, connected, intake_of, kinds, left, open_outlet, row, rows, submit
from support import Nats, make_entry, until

from common import subjects
from common.broker import Broker, Message
from common.content import load, store
from common.entry import Entry
from common.event import Type
from common.queue import listing
from common.submit_error import SubmitError


@pytest.fixture
async def outlet(broker: Broker) -> AsyncIterator[Outlet]:
    outlet = await open_outlet(broker)
    yield outlet
    await outlet.close()


async def test_one_small_mail_rides_in_its_entry(broker: Broker, outlet: Outlet) -> None:
    entry = make_entry()
    await submit(broker, entry)
    assert await left(broker, "BODY") == {}
    taken = await outlet.take()
    assert load(await outlet.taker.content(taken)).endswith(b"hello\r\n")
    await outlet.finisher.done(taken, row(entry, Type.DELIVERED))
    assert await left(broker) == {}
    assert await rows(broker) == ["accepted", "delivered"]


async def test_content_of_twenty_is_stored_once_and_goes_with_the_last(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, *batch(20))
    assert list((await left(broker, "BODY")).values()) == [1]
    for remaining in range(19, -1, -1):
        taken = await outlet.take()
        await outlet.finisher.done(taken, row(taken.entry, Type.DELIVERED))
        assert len(await left(broker)) == remaining
        assert bool(await left(broker, "BODY")) == bool(remaining)


async def test_large_content_is_stored_in_chunks(broker: Broker, outlet: Outlet) -> None:
    message = os.urandom(20_000_000)
    await submit(broker, make_entry(), content=store(message))
    assert len(await left(broker, "BODY")) == 3
    taken = await outlet.take()
    assert load(await outlet.taker.content(taken)) == message
    await outlet.finisher.done(taken, row(taken.entry))
    assert await left(broker, "BODY") == {}


async def test_deferred_comes_back_with_what_the_attempt_changed(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry(), content=store(bytes(range(256)) * 40))
    taken = await outlet.take()
    later = taken.entry.but(attempts=1, last_reply="451 later")
    await outlet.finisher.defer(taken, row(later, Type.DEFERRED), later, time.time() + 1)
    assert await kinds(broker) == ["s"]
    again = await outlet.take()
    assert (again.entry.attempts, again.entry.last_reply) == (1, "451 later")
    await outlet.finisher.done(again, row(again.entry, Type.DELIVERED))
    assert await left(broker) == {}


async def test_parked_content_is_fetched_again(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    outlet.taker.shed(taken)
    assert taken.entry.content is None
    assert await outlet.taker.content(taken) == CONTENT


async def test_deferring_a_parked_entry_keeps_its_content(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    outlet.taker.shed(taken)
    await outlet.finisher.defer(taken, row(taken.entry), taken.entry.but(attempts=1), time.time() + 0.5)
    again = await outlet.take()
    assert await outlet.taker.content(again) == CONTENT


async def test_higher_priority_goes_first(broker: Broker) -> None:
    for priority in (0, 4, 9, 5, 7):
        await submit(broker, make_entry(priority=priority))
    outlet = await open_outlet(broker)
    try:
        await until(lambda: outlet.taker.held == 5)
        order = [(await outlet.take()).entry.priority for _ in range(5)]
        assert order[:2] == [9, 7]
        assert order.index(5) < order.index(4)
    finally:
        await outlet.close()


async def test_full_store_is_452_and_nothing_is_left(broker: Broker) -> None:
    intake = intake_of(broker)
    intake.room.obstacle = "full"
    with pytest.raises(SubmitError) as refused:
        await intake.submit([make_entry()], CONTENT, row(make_entry()))
    assert refused.value.code == 452
    assert await left(broker) == {}


async def test_a_broker_killed_during_submits_loses_none_and_lies_to_nobody(nats: Nats, broker: Broker) -> None:
    intake = intake_of(broker)

    async def one(entry: Entry) -> str:
        await intake.submit([entry], CONTENT, row(entry))
        return entry.id

    first = [asyncio.create_task(one(make_entry())) for _ in range(50)]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    more = [asyncio.create_task(one(make_entry())) for _ in range(50)]
    nats.kill()
    nats.start()
    accepted = await asyncio.gather(*first, *more)
    stored = [listed.id async for listed in listing.entries(broker, "default")]
    assert sorted(stored) == sorted(accepted)


async def test_a_broker_restart_hands_out_again_what_was_not_finished(nats: Nats, broker: Broker) -> None:
    outlet = await open_outlet(broker)
    try:
        for _ in range(3):
            await submit(broker, make_entry())
        begun = await outlet.take()
        begun.begun = True
        waiting = await outlet.take()
        nats.kill()
        nats.start()
        await until(lambda: waiting.dropped)
        await outlet.finisher.done(begun, row(begun.entry, Type.DELIVERED))
        ids = set()
        for _ in range(2):
            taken = await outlet.take()
            assert await outlet.taker.is_current(taken)
            ids.add(taken.entry.id)
            await outlet.finisher.done(taken, row(taken.entry, Type.DELIVERED))
        assert waiting.entry.id in ids
        assert begun.entry.id not in ids
        assert await left(broker) == {}
    finally:
        await outlet.close()


async def test_a_worker_that_comes_back_takes_over_at_once(nats: Nats, broker: Broker) -> None:
    await submit(broker, make_entry())
    dead = await open_outlet(broker)
    await dead.take()
    dead.task.cancel()  # it never acks, as if killed
    async with connected(nats) as other:
        alive = await open_outlet(other)
        taken = await alive.take()
        assert taken.maybe_tried
        assert await alive.taker.is_current(taken)
        await alive.close()


@pytest.mark.parametrize("kind", ["s", "h"])
async def test_an_entry_that_is_scheduled_or_held_is_old(
    broker: Broker, outlet: Outlet, kind: subjects.Kind
) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    taken.maybe_tried = True
    assert await outlet.taker.is_current(taken)
    twin = subjects.as_kind(kind, taken.subject)
    headers = {"Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": taken.subject}
    await broker.put(Message(twin, taken.entry.pack(), headers))
    assert not await outlet.taker.is_current(taken)
    await outlet.finisher.drop(taken)
    assert await kinds(broker) == [kind]


async def test_what_cannot_be_read_is_held_with_its_reason(broker: Broker, outlet: Outlet) -> None:
    subject = subjects.entry("q", make_entry())
    await broker.put(Message(subject, b"\xc1 no entry"))
    await until(lambda: _is_held(broker))
    (held,) = [listed async for listed in listing.entries(broker, "default")]
    assert held.kind == "h"
    assert "not a queue entry" in held.reason
    assert held.stored.body == b"\xc1 no entry"
    assert await rows(broker) == ["held"]


async def _is_held(broker: Broker) -> bool:
    return await kinds(broker) == ["h"]
