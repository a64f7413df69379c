"""Migrations, and that table and event agree."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

from clickhouse_support import ClickHouse

from common.event import Event
from events import schema
from events.store import COLUMNS, Store

DAY = 86400


def test_table_and_event_agree(store: Store) -> None:
    rows = store.query("DESCRIBE events", {})
    assert [row["name"] for row in rows] == list(COLUMNS)
    assert list(COLUMNS) == [field.name for field in fields(Event)] + ["stream_sequence", "row_number"]
    assert not [row for row in rows if "Nullable" in row["type"]]


def test_migrations_are_numbered_one_by_one() -> None:
    numbers = [number for number, _, _ in schema.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_many_at_the_same_time(clickhouse: ClickHouse) -> None:
    stores = [clickhouse.store("together") for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda store: schema.migrate(store.client, 90 * DAY), stores))
    done = stores[0].query("SELECT DISTINCT number, name FROM migrations ORDER BY number", {})
    assert [(row["number"], row["name"]) for row in done] == [(n, name) for n, name, _ in schema.migrations()]
    for store in stores:
        store.close()


def test_how_long_rows_are_kept_changes_only_when_told(store: Store) -> None:
    def altered() -> object:
        query = "SELECT metadata_modification_time, create_table_query FROM system.tables"
        return store.query(f"{query} WHERE database = currentDatabase() AND name = 'events'", {})

    schema.migrate(store.client, 90 * DAY)
    before = altered()
    assert "toIntervalSecond(7776000)" in str(before)
    schema.migrate(store.client, 90 * DAY)
    assert altered() == before
    schema.migrate(store.client, 30 * DAY)
    assert "toIntervalSecond(2592000)" in str(altered())
