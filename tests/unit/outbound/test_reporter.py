"""Who is told what could not be delivered, and with how much of it."""

import email
import os
import time
from collections.abc import AsyncIterator
from email.message import Message

import pytest
from queue_support import Outlet, batch, left, open_outlet, submit
from support import make_entry

from common.broker import Broker
from common.content import load, store
from common.entry import Entry
from common.event import Event, Status, Type
from common.queue import bodies
from common.queue.room import ReportRoom
from common.queue.taken import Taken
from outbound import report
from outbound.reporter import Reporter

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
