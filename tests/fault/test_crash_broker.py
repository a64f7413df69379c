"""nats-server is killed while others talk to it: docs/queue-states.md, "The broker"."""

import time

import pytest
from crash_support import INGRESS, LATER, MIDDLE, NATS, PATIENCE, RECORDER, WORKER, Crashes, Row, after, before
from support import until

from common.broker import Message
from common.queue.listing import walk
from master.demo.sink_script import Rule

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUBLISH = "nats.aio.client:Client.publish"

ROWS = [
    Row(
        name="entry stored or not",
        point=after(INGRESS, PUBLISH, "q.default.", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="batch stored or not",
        point=after(INGRESS, PUBLISH, "Nats-Batch-Commit", victim=NATS),
        recipients=2, events="accepted delivered delivered",
    ),
    Row(
        name="entries stored and no row",
        point=after(INGRESS, "common.broker:Broker.store", "q.default.", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="sent and no row",
        point=after(WORKER, "outbound.site:Site.deliver", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="row stored or not",
        point=after(WORKER, PUBLISH, "e.default", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="row stored and no ack",
        point=before(WORKER, "common.queue.finish:Finisher._remove", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="acked or not",
        point=after(WORKER, PUBLISH, "+ACK", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="all entries gone",
        point=after(WORKER, "common.queue.finish:Finisher._remove", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="all rows gone",
        point=after(RECORDER, "events.recorder:Recorder._record", victim=NATS),
        events="accepted delivered",
    ),
    Row(
        name="inserted and no broker",
        point=after(RECORDER, "events.store:Store.insert", victim=NATS),
        events="accepted delivered",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_broker(crashes: Crashes, row: Row) -> None:
    await crashes.check(row)


@pytest.mark.parametrize("sent", [False, True], ids=["not sent", "sent"])
async def test_fired_and_schedule_not_removed(crashes: Crashes, sent: bool) -> None:
    """nats-server stores what fires, then removes the schedule. No hook reaches in between: built by hand."""
    await crashes.begin(Rule(phase="rcpt", reply=LATER, times=1))
    assert await crashes.send(content=MIDDLE)
    await until(lambda: crashes.lies_there("s"), PATIENCE)
    with crashes.parent_stopped():
        due = time.time() + 2
        await crashes.fire(due)
        [schedule] = [stored async for stored in walk(crashes.connection, "MQ_default", "s.>")]
        if not sent:
            await crashes.kill(WORKER)
        await crashes.connection.put(Message(schedule.headers["Nats-Schedule-Target"], schedule.body))
        if sent:
            await until(lambda: crashes.lies_there("s"), PATIENCE)
            await crashes.kill(WORKER)
        await crashes.kill(NATS)
        await until(lambda: time.time() > due)
    await crashes.end("accepted deferred delivered" + " delivered" * sent, arrives=1 + sent)
