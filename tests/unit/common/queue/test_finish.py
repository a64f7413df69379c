"""Row, schedule, ack: always in this order, and each until it is stored."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from control_support import make_order
from queue_support import CONTENT, Outlet, batch, kinds, left, open_outlet, row, rows, submit
from support import Nats, make_entry, until

from common.broker import Broker
from common.controls.control import Control
from common.entry import Entry
from common.event import Type, unpack
from common.queue import finish, listing, streams
from common.queue.finish import Finisher
from common.queue.moving import to_held


@pytest.fixture
async def outlet(broker: Broker) -> AsyncIterator[Outlet]:
    outlet = await open_outlet(broker)
    yield outlet
    await outlet.close()


async def test_row_then_schedule_then_ack(broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    request, seen = broker.request, []

    async def watched(subject: str, *args: Any, **options: Any) -> Any:
        if subject.startswith(("e.", "s.", "$JS.ACK")):
            seen.append((subject.split(".")[0], await rows(broker), await kinds(broker)))
        return await request(subject, *args, **options)

    monkeypatch.setattr(broker, "request", watched)
    await outlet.finisher.defer(taken, row(taken.entry, Type.DEFERRED), taken.entry, time.time() + 3600)
    assert seen == [
        ("e", ["accepted"], ["q"]),
        ("s", ["accepted", "deferred"], ["q"]),
        ("$JS", ["accepted", "deferred"], ["q", "s"]),
    ]
    assert await kinds(broker) == ["s"]


@pytest.mark.parametrize("before", ["e.", "s.", "$JS.ACK"])
async def test_a_broker_killed_at_any_step_changes_nothing(
    nats: Nats, broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    assert taken.begin()
    request, killed = broker.request, False

    async def fragile(subject: str, *args: Any, **options: Any) -> Any:
        nonlocal killed
        if subject.startswith(before) and not killed:
            killed = True
            nats.kill()
            nats.start()
        return await request(subject, *args, **options)

    monkeypatch.setattr(broker, "request", fragile)
    later = taken.entry.but(attempts=1)
    await outlet.finisher.defer(taken, row(taken.entry, Type.DEFERRED), later, time.time() + 3600)
    assert killed
    assert await rows(broker) == ["accepted", "deferred"]
    assert await kinds(broker) == ["s"]


async def test_outcomes_that_cannot_be_stored_wait_and_say_so(nats: Nats, broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    assert taken.begin()
    nats.kill()
    done = asyncio.create_task(outlet.finisher.done(taken, row(taken.entry, Type.DELIVERED)))
    await until(lambda: not outlet.finisher.clear.is_set())
    nats.start()
    await done
    assert outlet.finisher.clear.is_set()
    assert await rows(broker) == ["accepted", "delivered"]
    assert await left(broker) == {}


async def test_many_outcomes_are_split(broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "GATHER_MOST", 5, raising=False)
    await submit(broker, *batch(12))
    takens = [await outlet.take() for _ in range(12)]
    await asyncio.gather(*(outlet.finisher.done(taken, row(taken.entry, Type.DELIVERED)) for taken in takens))
    sizes = [len(unpack(stored.body)) async for stored in listing.walk(broker, "EVENTS", "e.>")]
    assert sizes == [1, 5, 5, 2]  # the first is the accepted row
    assert await left(broker) == {}


@pytest.mark.parametrize("text", [object(), "x" * 9_000_000], ids=["no text", "too large"])
async def test_a_mistake_of_ours_reaches_the_caller_and_keeps_the_entry(
    broker: Broker, outlet: Outlet, text: Any
) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    with pytest.raises((TypeError, ValueError)):
        await asyncio.wait_for(outlet.finisher.done(taken, replace(row(taken.entry), text=text)), 10)
    assert await kinds(broker) == ["q"]
    assert await rows(broker) == ["accepted"]
    assert outlet.taker.held == 0
    assert outlet.finisher.clear.is_set()


async def test_a_parked_entry_that_is_held_keeps_its_content(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    outlet.taker.shed(taken)
    await outlet.finisher.hold_taken(taken, "because")
    (held,) = [listed async for listed in listing.entries(broker, "default")]
    assert held.entry
    assert (held.kind, held.reason, held.entry.content) == ("h", "because", CONTENT)
    assert await rows(broker) == ["accepted", "held"]
    assert outlet.taker.held == 0


async def test_the_row_of_what_is_held_names_its_campaign(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry(tags=("spring", "red"), meta={"a": "b"}))
    taken = await outlet.take()
    await outlet.finisher.hold_taken(taken, "because")
    [*_, stored] = await broker.page("EVENTS", {"seq": 1, "batch": 10, "next_by_subj": "e.>"})
    [held] = unpack(stored.body)
    assert (held["type"], held["campaign"], held["tags"]) == ("held", "spring", ["spring", "red"])
    assert (held["meta"], held["recipient"]) == ({"a": "b"}, taken.entry.recipient)


async def test_what_is_gone_is_not_held(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    await broker.remove("MQ_default", taken.sequence)
    await outlet.finisher.hold_taken(taken, "because")
    assert await left(broker) == {}
    assert await rows(broker) == ["accepted"]


async def test_the_same_sequence_held_in_two_pools_is_told_twice(broker: Broker, outlet: Outlet) -> None:
    await streams.ensure(broker, ["default", "other"], 10**9)
    for pool in ("default", "other"):
        await Finisher(broker, pool, outlet.taker).hold(f"q.{pool}.1.b.-.sub.1", 7, b"body", "because")
    assert await rows(broker) == ["held", "held"]
    assert await kinds(broker) == ["h"]


async def test_every_copy_of_an_entry_goes(broker: Broker, outlet: Outlet) -> None:
    """A broker that hands an entry out again while it is worked on hands it out for nothing."""
    await submit(broker, make_entry())
    taken = await outlet.take()
    assert taken.begin()
    await broker.publish(taken.copies[0].reply, b"-NAK")
    await until(lambda: len(taken.copies) == 2)
    await outlet.finisher.done(taken, row(taken.entry, Type.DELIVERED))
    assert await left(broker) == {}
    info = await broker.api("CONSUMER.NAMES.MQ_default")
    pending = [
        (await broker.api(f"CONSUMER.INFO.MQ_default.{name}"))["num_ack_pending"] for name in info["consumers"]
    ]
    assert sum(pending) == 0


async def test_an_old_copy_that_is_dropped_takes_its_content_along(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, *batch(2))
    for remaining in (1, 0):
        await outlet.finisher.drop(await outlet.take())
        assert len(await left(broker, "BODY")) == remaining
    assert await rows(broker) == ["accepted"]


async def test_a_held_copy_of_what_it_scheduled_stays(
    broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mover that does not know of us, for our lease has lapsed, may hold the schedule before we have ended."""
    await submit(broker, make_entry())
    taken, order = await outlet.take(), make_order()
    outlet.finisher.may_be_held = lambda entry: True
    await hold(broker, "q.>", order)
    remove = outlet.finisher._remove

    async def later(*args: Any) -> None:
        await remove(*args)
        await hold(broker, "s.>", order)

    monkeypatch.setattr(outlet.finisher, "_remove", later)
    again = taken.entry.but(attempts=1)
    await outlet.finisher.defer(taken, row(taken.entry, Type.DEFERRED), again, time.time() + 3600)
    [listed] = [one async for one in listing.entries(broker, "default")]
    assert listed.kind == "h"
    assert listed.entry
    assert listed.entry.attempts == 1


async def hold(broker: Broker, filter_: str, order: Control) -> None:
    for stored in [one async for one in listing.walk(broker, "MQ_default", filter_)]:
        await broker.put(to_held(stored, Entry.unpack(stored.body), order, "paused"))
