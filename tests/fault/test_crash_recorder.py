"""Whoever records is killed between any two of its steps: docs/queue-states.md, "Recording"."""

import json

import pytest
from crash_support import CLICKHOUSE, RECORDER, Crashes, Point, after, before

from common.queue.listing import walk

pytestmark = pytest.mark.asyncio(loop_scope="session")

INSERT, RUN = "events.store:Store.insert", "events.embedded.engine:Engine.run"
#: Where somebody dies, and what is there of the rows then: the range in KV_intents, they in EVENTS, in ClickHouse.
POINTS: dict[str, tuple[Point, str]] = {
    "range not written": (before(RECORDER, "common.broker:Broker.put", "$KV.intents"), "EVENTS"),
    "range not inserted": (before(RECORDER, INSERT), "range EVENTS"),
    "inserted and not purged": (after(RECORDER, INSERT), "range EVENTS ClickHouse"),
    "purged": (after(RECORDER, "events.recorder:Recorder._record"), "range ClickHouse"),
    "insert not begun": (before(CLICKHOUSE, RUN, "INSERT"), "range EVENTS"),
    "inserted and not answered": (after(CLICKHOUSE, RUN, "INSERT"), "range EVENTS"),
}


@pytest.mark.parametrize("name", POINTS)
async def test_recording(crashes: Crashes, name: str) -> None:
    point, left = POINTS[name]
    await crashes.begin()
    with crashes.parent_stopped():
        crashes.arm(point)
        assert await crashes.send()
        await crashes.struck()
        assert await _left(crashes, asks=point.role != CLICKHOUSE) == left
    await crashes.end("accepted delivered", arrives=1)


async def _left(crashes: Crashes, *, asks: bool) -> str:
    """``range``, ``EVENTS``, ``ClickHouse``: where the rows under way are; the last only if it lives."""
    stored = await crashes.connection.last("KV_intents", "$KV.intents.recorder")
    last = json.loads(stored.body)["last"] if stored else 0
    under_way = last >= crashes.first_event
    waiting = [s async for s in walk(crashes.connection, "EVENTS", "e.>") if s.sequence <= last or not under_way]
    there = {"range": under_way, "EVENTS": waiting, "ClickHouse": asks and await crashes.recorded()}
    return " ".join(name for name, value in there.items() if value)
