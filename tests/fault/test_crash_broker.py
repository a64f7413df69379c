"""nats-server is killed while others talk to it: docs/queue-states.md, "The broker"."""

import pytest
from crash_support import INGRESS, NATS, RECORDER, WORKER, Crashes, Row, after, before

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
