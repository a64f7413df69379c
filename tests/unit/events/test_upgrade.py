"""A database of an earlier version is brought up to date: what it recorded is in the rollups once, whatever dies."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_support import FOR_EVER, ClickHouse, check_rollups, columns, rolled_up
from recorder_support import KilledError, Wrapped, happen, left, recorded, recorder

from common.broker import Broker
from common.event import Event, Type, pack, unpack
from events import schema
from events.recorder import Recorder
from events.store import Columns, Store

#: The last migration of the version that had one rollup.
BEFORE = 3


@pytest.fixture
def old(clickhouse: ClickHouse) -> Iterator[Store]:
    """A database as that version left it, with rows of three days in table and rollup."""
    store = clickhouse.store()
    store.client.command(schema._MIGRATIONS)
    for migration in schema.migrations()[:BEFORE]:
        schema._apply(store.client, migration)
    for table, column in (("events", "time"), ("events_by_minute", "minute"), ("events_set_aside", "time")):
        store.client.command(f"ALTER TABLE {table} MODIFY TTL toDateTime({column}) + toIntervalSecond(7776000)")
    had = {row["name"] for row in store.query("DESCRIBE events", {})}
    for day in range(3):
        events = [Event(time=time.time() - day * 86_400, type=Type.DELIVERED, sender="a@b.example", time_total=1)] * 10
        rows = [row | {"stream_sequence": day, "row_number": i} for i, row in enumerate(unpack(pack(events)))]
        values = {name: column for name, column in columns(rows).items() if name in had}
        store.insert("events", values, f"t{day}")
    assert store.query("SELECT sum(r.rows) AS n FROM events_by_minute AS r", {}) == [{"n": 30}]
    yield store
    store.close()


def total(store: Store) -> int:
    return sum(row["rows"] for row in rolled_up(store))


def test_what_was_recorded_is_in_the_rollups(old: Store) -> None:
    schema.migrate(old.client, FOR_EVER)
    check_rollups(old)
    assert total(old) == 30
    tables = {row["name"] for row in old.query("SHOW TABLES", {})}
    assert "events_by_minute" not in tables
    schema.migrate(old.client, FOR_EVER)
    assert total(old) == 30


def test_who_does_not_record_leaves_the_rollups_alone(old: Store) -> None:
    schema.migrate(old.client, FOR_EVER, alone=False)
    tables = {row["name"] for row in old.query("SHOW TABLES", {})}
    assert "events_by_minute" in tables
    assert "traffic_by_hour" not in tables


def test_columns_of_later_migrations_are_there_for_a_range_under_way(
    old: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = schema.Migration(99, "099_later.sql", ["ALTER TABLE events ADD COLUMN IF NOT EXISTS later String"], False)
    real = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: [*real, later])
    for alone in (False, True):
        schema.migrate(old.client, FOR_EVER, alone=alone)
        assert "later" in {row["name"] for row in old.query("DESCRIBE events", {})}
        done = {row["number"] for row in old.query("SELECT number FROM migrations", {})}
        assert (99 in done) == alone
    check_rollups(old)


class Dying:
    """A client that dies after so many statements."""

    def __init__(self, client: Any, statements: int) -> None:
        self._client, self.left, self.query = client, statements, client.query

    def command(self, *args: Any, **more: Any) -> None:
        if not self.left:
            raise KilledError
        self.left -= 1
        self._client.command(*args, **more)


def test_once_wherever_it_is_killed(old: Store) -> None:
    for statements in range(0, 100, 4):
        try:
            schema.migrate(Dying(old.client, statements), FOR_EVER)  # type: ignore[arg-type]
            break
        except KilledError:
            pass
    assert statements > 20
    check_rollups(old)
    assert total(old) == 30


class Mute(Wrapped):
    """A store whose recorder dies before it hears that rows are inserted."""

    def insert(self, table: str, columns: Columns, token: str) -> None:
        super().insert(table, columns, token)
        raise KilledError


async def test_a_range_under_way_at_the_upgrade_is_there_once(broker: Broker, old: Store) -> None:
    schema.migrate(old.client, FOR_EVER, alone=False)
    old._contexts.clear()
    await happen(broker, 3)
    with pytest.raises(KilledError):
        await recorder(broker, Mute(old)).run()
    await happen(broker, 2)
    stopping = asyncio.Event()
    stopping.set()
    await Recorder(broker, old, stopping, prepare=lambda: schema.migrate(old.client, FOR_EVER)).run()
    assert await left(broker) == 0
    assert len(recorded(old)) == 35
    check_rollups(old)
    assert total(old) == 35
