"""Who is told what could not be delivered, and with how much of it."""

import asyncio
import email
import os
import time
from collections.abc import AsyncIterator
from email.message import Message
from typing import Any

import pytest
from control_support import done, end, give, moving
from queue_support import Outlet, batch, kinds, left, open_outlet, submit
from support import make_entry, until

from common.broker import Broker, Stored
from common.content import load, store
from common.entry import Entry
from common.event import Event, Status, Type
from common.queue import bodies, listing, streams
from common.queue.carrier import Report
from common.queue.room import ReportRoom
from common.queue.take import Taker
from common.queue.taken import Taken
from outbound import report
from outbound.reporter import OWN_SIZE, Reporter

HEADER = b"From: <s@sender.example>\r\nSubject: News\r\n"
SMALL, LARGE = HEADER + b"\r\nhello\r\n", HEADER + b"\r\n" + os.urandom(300_000).hex().encode() + b"\r\n"
#: Compresses to no less, so that it lies in chunks.
HUGE = HEADER + b"\r\n" + os.urandom(10_000_000)


@pytest.fixture
async def outlet(broker: Broker) -> AsyncIterator[Outlet]:
    outlet = await open_outlet(broker)
    yield outlet
    await outlet.close()


async def about(outlet: Outlet, taken: Taken) -> Entry | None:
    row = Event(
        time=time.time(), type=Type.BOUNCED, status=Status.UNDELIVERABLE, reason="rejected", code=550,
        enhanced_code="5.1.1", text="No such user", mx_host="mx.example",
    )  # fmt: skip
    return await Reporter(outlet.taker, ReportRoom(outlet.broker, 10**9), "mta.example", 100.0).about(taken, row)


def returned(told: Entry | None) -> Message | None:
    """The part with the original, if there is one."""
    assert told
    assert isinstance(told.content, bytes)
    message = load(told.content)
    assert len(message) == told.size
    parts = email.message_from_bytes(message).get_payload()
    return parts[2] if len(parts) > 2 else None  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("sender", ["", "MAILER-DAEMON@mta.example", "mailer-daemon@MTA.example", "postmaster"])
async def test_nobody_is_told_where_it_would_lead_nowhere(broker: Broker, outlet: Outlet, sender: str) -> None:
    await submit(broker, make_entry(sender=sender))
    assert await about(outlet, await outlet.take()) is None


async def test_the_reports_envelope(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry())
    before = time.time()
    told = await about(outlet, await outlet.take())
    assert told
    assert (told.sender, told.recipient) == ("", "s@sender.example")
    assert before <= told.accepted == told.expires - 100.0
    assert told.message_id == f"<{told.submission}@mta.example>"


@pytest.mark.parametrize("recipients", [1, 2])
@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize(
    ("content", "type_"),
    [(SMALL, "message/rfc822"), (LARGE, "text/rfc822-headers"), (HUGE, "text/rfc822-headers")],
    ids=["small", "large", "huge"],
)
async def test_the_original_comes_along_from_wherever_it_lies(
    broker: Broker, outlet: Outlet, content: bytes, type_: str, recipients: int, parked: bool
) -> None:
    await submit(broker, *batch(recipients), content=store(content))
    taken = await outlet.take()
    if parked:
        outlet.taker.shed(taken)
    part = returned(await about(outlet, taken))
    assert part
    assert part.get_content_type() == type_
    assert "Subject: News" in part.as_string()


async def test_of_huge_content_only_the_first_chunk_is_read(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry(), content=store(HUGE))
    assert len(await left(broker, "BODY")) == 2
    await broker.purge("BODY", "b.*.*.1")
    assert returned(await about(outlet, await outlet.take()))


@pytest.mark.parametrize("fault", ["missing", "corrupt", "unreadable"])
async def test_content_that_is_lost_is_no_reason_not_to_tell(broker: Broker, outlet: Outlet, fault: str) -> None:
    if fault == "unreadable":
        await submit(broker, make_entry(), content=b"\x02of a later version")
    else:
        await submit(broker, *batch(2))
    taken = await outlet.take()
    if fault != "unreadable":
        await broker.purge("BODY", "b.>")
    if fault == "corrupt":
        await broker.request(bodies.body("default", taken.entry.submission), store(b"something else"))
    assert returned(await about(outlet, taken)) is None


async def test_what_was_purged_while_it_was_parked_is_not_reported(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, make_entry())
    taken = await outlet.take()
    outlet.taker.shed(taken)
    await broker.purge("MQ_default", ">")
    assert await about(outlet, taken) is None


def test_small_is_what_postfix_takes_for_it() -> None:
    assert report.LIMIT == 50_000


async def reports(broker: Broker) -> list[str]:
    """The deliveries that the reports in the queue are about."""
    found = [one.entry async for one in listing.entries(broker, "default")]
    return sorted(entry.meta["report_of"] for entry in found if entry and entry.interface == "report")


def reporter(broker: Broker, room: ReportRoom) -> Reporter:
    return Reporter(Taker(broker, "default"), room, "mta.example", 100.0)


async def stop(broker: Broker, report: Report) -> None:
    async with moving(broker, report):
        order = await give(broker, "stop", report=True)
        await done(broker, order)
        await end(broker, order)


@pytest.fixture
async def spring(broker: Broker) -> list[str]:
    """Deliveries of a campaign, and one more from the null sender, of whom nobody is told."""
    entries = [make_entry(tags=("spring",)) for _ in range(5)]
    for entry in (*entries, make_entry(tags=("spring",), sender="")):
        await submit(broker, entry)
    return sorted(entry.id for entry in entries)


async def test_senders_are_told_what_is_stopped(broker: Broker, spring: list[str]) -> None:
    await stop(broker, reporter(broker, ReportRoom(broker, 10**9)).about_stopped)
    assert await reports(broker) == spring
    assert len(await kinds(broker)) == len(spring)


async def test_a_mover_that_dies_among_reports(broker: Broker, spring: list[str]) -> None:
    """Everybody is told once."""
    about = reporter(broker, ReportRoom(broker, 10**9)).about_stopped
    begun, dead = 0, asyncio.Event()

    async def dying(*args: Any) -> Entry | None:
        nonlocal begun
        begun += 1
        if begun == 3:
            dead.set()
            await asyncio.Event().wait()
        return await about(*args)

    async with moving(broker, dying):
        order = await give(broker, "stop", report=True)
        await asyncio.wait_for(dead.wait(), 20)
        await until(lambda: have_come(broker, len(spring) - 1))
    async with moving(broker, about):
        await done(broker, order)
    assert await reports(broker) == spring


async def have_come(broker: Broker, count: int) -> bool:
    return len(await reports(broker)) == count


async def test_without_room_it_is_stopped_and_nobody_is_told(broker: Broker, spring: list[str]) -> None:
    room = ReportRoom(broker, 10**9)
    room.took(10**9, 0)
    await stop(broker, reporter(broker, room).about_stopped)
    assert await kinds(broker) == []


async def test_reports_take_the_room_there_is_and_no_more(broker: Broker, spring: list[str]) -> None:
    room = ReportRoom(broker, 10**9)
    room.took(9 * 10**8 - 2 * OWN_SIZE, 0)
    await stop(broker, reporter(broker, room).about_stopped)
    assert 0 < len(await reports(broker)) < len(spring)


async def test_shared_content_of_another_pool_comes_along(broker: Broker) -> None:
    await streams.ensure(broker, ["default", "bulk"], 10**9)
    ref = await bodies.Bodies(broker, "bulk").put("s" * 20, store(SMALL))
    entry = make_entry(submission="s" * 20, pool="bulk", content=ref)
    stored = Stored("q.bulk.1.1.b.-.x.1", 1, entry.pack(), {}, "")
    row = Event(time=time.time(), type=Type.STOPPED, status=Status.UNDELIVERABLE, reason="stopped")
    assert returned(await reporter(broker, ReportRoom(broker, 10**9)).about_stopped(stored, entry, row))
