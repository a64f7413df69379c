"""A report is stored before what it is about goes, and once, whatever dies in between."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from queue_support import Outlet, connected, kinds, left, open_outlet, row, rows, submit
from support import Nats, make_entry, until

from common import subjects
from common.broker import Broker, BrokerError, Message
from common.content import load
from common.entry import Entry
from common.event import Type, unpack
from common.ids import report_id
from common.queue import listing, reports, streams
from common.queue.taken import Taken

EXPIRES = 4e9


@pytest.fixture
async def outlet(broker: Broker) -> AsyncIterator[Outlet]:
    outlet = await open_outlet(broker)
    yield outlet
    await outlet.close()


BOUNCED = row(make_entry(), Type.BOUNCED)


def report_on(entry: Entry, text: bytes = b"sorry\r\n") -> Entry:
    return reports.report_on(entry, text, "<1@mta.example>", 1e9, EXPIRES)


async def bounce(outlet: Outlet, taken: Taken) -> None:
    assert taken.begin()
    await outlet.finisher.done(taken, row(taken.entry, Type.BOUNCED), report_on(taken.entry))


async def only(broker: Broker) -> listing.Listed:
    (listed,) = [listed async for listed in listing.entries(broker, "default")]
    return listed


async def test_a_report_is_an_entry_from_nobody_to_the_sender(broker: Broker, outlet: Outlet) -> None:
    about = make_entry(priority=8, tags=("spring",), meta={"a": "b"})
    await submit(broker, about)
    await bounce(outlet, await outlet.take())
    report = (await only(broker)).entry
    assert report
    assert (report.submission, report.number) == (report_id(about.id), 1)
    assert (report.sender, report.recipient, report.domain) == ("", "s@sender.example", "sender.example")
    assert (report.priority, report.tags, report.meta) == (8, (), {"report_of": about.id})
    assert (report.accepted, report.expires, report.size, report.smtputf8) == (1e9, EXPIRES, 7, False)
    assert load(await outlet.taker.content(await outlet.take())) == b"sorry\r\n"
    *_, told = [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]
    assert told == {
        "time": 1e9, "type": "accepted", "id": report.submission, "submission": report.submission, "pool": "default",
        "recipients": ["s@sender.example"], "meta": {"report_of": about.id}, "message_id": "<1@mta.example>",
        "size": 7, "priority": 8, "interface": "report",
    }  # fmt: skip


async def test_row_then_report_then_its_row_then_ack(
    broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    request, seen = broker.request, []

    async def watched(subject: str, *args: Any, **options: Any) -> Any:
        if subject.startswith(("e.", "q.", "$JS.ACK")):
            seen.append((subject.split(".")[0], await rows(broker), len(await left(broker))))
        return await request(subject, *args, **options)

    monkeypatch.setattr(broker, "request", watched)
    await bounce(outlet, taken)
    assert seen == [
        ("e", ["accepted"], 1),
        ("q", ["accepted", "bounced"], 1),
        ("e", ["accepted", "bounced"], 2),
        ("$JS", ["accepted", "bounced", "accepted"], 2),
    ]
    assert len(await left(broker)) == 1


@pytest.mark.parametrize("before", [("e.", 1), ("q.", 1), ("e.", 2), ("$JS.ACK", 1)])
async def test_a_broker_killed_at_any_step_changes_nothing(
    nats: Nats, broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch, before: tuple[str, int]
) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    request, (kind, turns) = broker.request, before

    async def fragile(subject: str, *args: Any, **options: Any) -> Any:
        nonlocal turns
        turns -= subject.startswith(kind)
        if subject.startswith(kind) and turns == 0:
            nats.kill()
            nats.start()
        return await request(subject, *args, **options)

    monkeypatch.setattr(broker, "request", fragile)
    await bounce(outlet, taken)
    assert turns <= 0
    assert await rows(broker) == ["accepted", "bounced", "accepted"]
    assert (await only(broker)).id == f"{report_id(taken.entry.id)}-1"


@pytest.mark.parametrize("died_before", ["its row", "the ack"])
@pytest.mark.parametrize("state", ["q", "s"])
async def test_a_worker_that_dies_behind_the_report_leaves_one(
    nats: Nats, broker: Broker, monkeypatch: pytest.MonkeyPatch, died_before: str, state: str
) -> None:
    """Its successor is handed the entry again, and finds it reported: no other try, no other report."""
    await submit(broker, make_entry())
    dead = await open_outlet(broker)
    taken = await dead.take()
    request, dying = broker.request, asyncio.Event()

    async def mortal(subject: str, *args: Any, **options: Any) -> Any:
        reported = await reports.find(other, taken.entry)
        if subject.startswith("$JS.ACK" if died_before == "the ack" else "e.") and reported:
            dying.set()
            await asyncio.Event().wait()
        return await request(subject, *args, **options)

    async with connected(nats) as other:
        monkeypatch.setattr(broker, "request", mortal)
        bouncing = asyncio.create_task(bounce(dead, taken))
        await dying.wait()
        for task in (bouncing, dead.task, *dead.finisher._running):
            task.cancel()
        alive = await open_outlet(other)
        about, report = sorted([await alive.take(), await alive.take()], key=lambda t: not t.entry.sender)
        if state == "s":
            assert report.begin()
            await alive.finisher.defer(report, row(report.entry, Type.DEFERRED), report.entry, EXPIRES)
        assert about.entry.id == taken.entry.id
        assert not await alive.taker.is_current(about)
        await alive.finisher.drop(about)
        told = ["accepted", "bounced", "accepted", "deferred"]
        assert sorted(await rows(other)) == sorted(told if state == "s" else told[:3])
        assert (await only(other)).id == report.entry.id
        assert await kinds(other) == [state]
        await alive.close()


@pytest.mark.parametrize("state", ["q", "s", "gone"])
async def test_told_twice_stored_once(broker: Broker, outlet: Outlet, state: str) -> None:
    """Gone: delivered meanwhile; the broker knows the id for two minutes."""
    report = report_on(make_entry())
    await broker.put(reports.stored(report))
    subject = subjects.entry("q", report)
    if state != "q":
        if state == "s":
            headers = {"Nats-Schedule": "@at 2100-01-01T00:00:00Z", "Nats-Schedule-Target": subject}
            await broker.request(subjects.as_kind("s", subject), report.pack(), headers)
        await broker.purge("MQ_default", subject)
    await outlet.finisher._report(BOUNCED, report.but(size=1))
    assert await kinds(broker) == ([] if state == "gone" else [state])


async def test_a_broker_that_forgot_the_id_knows_what_lies_there(nats: Nats, broker: Broker, outlet: Outlet) -> None:
    report = report_on(make_entry())
    await broker.put(reports.stored(report))
    subject = subjects.entry("q", report)
    headers = {"Nats-Schedule": "@at 2100-01-01T00:00:00Z", "Nats-Schedule-Target": subject}
    await broker.request(subjects.as_kind("s", subject), report.pack(), headers)
    await broker.purge("MQ_default", subject)  # and with it the id, once the broker has started again
    nats.kill()
    nats.start()
    await outlet.finisher._report(BOUNCED, report)
    assert await kinds(broker) == ["s"]


async def test_a_full_store_keeps_the_entry_until_there_is_room_for_its_report(nats: Nats) -> None:
    nats.kill()
    nats.max_store = 2_000_000
    nats.start()
    async with connected(nats) as broker:
        await streams.ensure_surely(broker, ["default"], nats.max_store)
        outlet = await open_outlet(broker)
        await submit(broker, make_entry())
        taken = await outlet.take()
        with contextlib.suppress(BrokerError):
            while True:
                await broker.put(Message("b.default.ballast", os.urandom(100_000)))
        bouncing = asyncio.create_task(bounce(outlet, taken))
        await until(lambda: not outlet.finisher.clear.is_set())
        assert await kinds(broker) == ["q"]
        await broker.purge("BODY", "b.>")
        await bouncing
        assert outlet.finisher.clear.is_set()
        assert (await only(broker)).id == f"{report_id(taken.entry.id)}-1"
        await outlet.close()


async def test_a_null_sender_has_no_report_to_look_for(broker: Broker) -> None:
    assert await reports.find(broker, make_entry(sender="")) is None
