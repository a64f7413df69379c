"""Whoever records is killed between any two of its steps: docs/queue-states.md, "Recording"."""

import pytest
from crash_support import CLICKHOUSE, RECORDER, Crashes, Row, after, before

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = [
    Row(
        name="range not written",
        point=before(RECORDER, "common.broker:Broker.put", "$KV.intents"),
        events="accepted delivered",
    ),
    Row(
        name="range not inserted",
        point=before(RECORDER, "events.store:Store.insert"),
        events="accepted delivered",
    ),
    Row(
        name="inserted and not purged",
        point=after(RECORDER, "events.store:Store.insert"),
        events="accepted delivered",
    ),
    Row(
        name="purged",
        point=after(RECORDER, "events.recorder:Recorder._record"),
        events="accepted delivered",
    ),
    Row(
        name="insert not begun",
        point=before(CLICKHOUSE, "events.embedded.engine:Engine.run", "INSERT"),
        events="accepted delivered",
    ),
    Row(
        name="inserted and not answered",
        point=after(CLICKHOUSE, "events.embedded.engine:Engine.run", "INSERT"),
        events="accepted delivered",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_recording(crashes: Crashes, row: Row) -> None:
    await crashes.check(row)
