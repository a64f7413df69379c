"""Migrations, and that table and event agree."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

from clickhouse_support import ClickHouse, columns
from support import until

from common.config import Events
from common.event import Event, Type, pack, unpack
from events import schema
from events.store import COLUMNS, Store


def keeping(**keys: str) -> Events:
    return Events(**keys)  # type: ignore[arg-type]


def test_table_and_event_agree(store: Store) -> None:
    rows = store.query("DESCRIBE events", {})
    assert [row["name"] for row in rows] == list(COLUMNS)
    assert list(COLUMNS) == [field.name for field in fields(Event)] + ["stream_sequence", "row_number"]
    assert not [row for row in rows if "Nullable" in row["type"]]


def test_migrations_are_numbered_one_by_one() -> None:
    numbers = [migration.number for migration in schema.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_many_at_the_same_time(clickhouse: ClickHouse) -> None:
    stores = [clickhouse.store("together") for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda store: schema.migrate(store.client, Events(), alone=False), stores))
    schema.migrate(stores[0].client, Events())
    done = stores[0].query("SELECT DISTINCT number, name FROM migrations ORDER BY number", {})
    assert [(row["number"], row["name"]) for row in done] == [(one.number, one.name) for one in schema.migrations()]
    for store in stores:
        store.close()


def test_how_long_rows_are_kept_changes_only_when_told(store: Store) -> None:
    def altered() -> object:
        query = "SELECT name, metadata_modification_time, create_table_query FROM system.tables"
        return store.query(f"{query} WHERE database = currentDatabase() AND engine LIKE '%Tree' ORDER BY name", {})

    def of(table: str) -> str:
        return str(store.query(f"SHOW CREATE TABLE {table}", {})[0]["statement"])

    def ending(days: int) -> int:
        """How many columns, or the row itself, end so many days from the day's begin."""
        return of("events").count(f"TTL toDateTime(toDate(time), 'UTC') + toIntervalSecond({days * 86_400})")

    keys = {"keep": "90d", "keep_personal": "1d", "keep_minutes": "2d", "keep_hours": "3d"}
    schema.migrate(store.client, keeping(**keys))
    before = altered()
    assert ending(2) == len(schema.PERSONAL)
    assert ending(91) == 1
    assert f"toIntervalSecond({86_400})" in of("events_set_aside")
    for family in ("traffic", "domains"):
        assert f"toIntervalSecond({2 * 86_400})" in of(f"{family}_by_minute")
        assert f"toIntervalSecond({3 * 86_400})" in of(f"{family}_by_hour")
    schema.migrate(store.client, keeping(**keys))
    assert altered() == before
    schema.migrate(store.client, keeping(**keys | {"keep": "1d"}))
    assert ending(2) == len(schema.PERSONAL) + 1  # and the row
    schema.migrate(store.client, keeping(**keys | {"keep_personal": "5d"}))
    assert ending(6) == len(schema.PERSONAL)


async def test_personal_data_goes_before_its_row(clickhouse: ClickHouse) -> None:
    store = clickhouse.store()
    schema.migrate(store.client, keeping(keep="90d", keep_personal="30d"))
    now, values = time.time(), {"recipients": ("a@b.example",), "meta": {"k": "v"}}
    values |= dict.fromkeys(("sender", "recipient", "message_id", "envid", "client_address", "text"), "a@b.example")
    events = [Event(time=now - days * 86_400, type=Type.DELIVERED, size=days, **values) for days in (0, 29, 33, 95)]
    rows = [row | {"stream_sequence": 1, "row_number": i} for i, row in enumerate(unpack(pack(events)))]
    store.insert("events", columns(rows), "t")

    def telling() -> list[list[int]]:
        """How old rows are in which a column tells something, for each column; and all rows."""
        found = store.query("SELECT * FROM events ORDER BY size", {})
        return [[row["size"] for row in found if row[name]] for name in (*schema.PERSONAL, "type")]

    await until(lambda: telling() == [[0, 29]] * len(schema.PERSONAL) + [[0, 29, 33]], 60)
    assert store.query("SELECT size FROM events WHERE lower(recipient) = 'a@b.example' ORDER BY size", {}) == [
        {"size": 0}, {"size": 29},
    ]  # fmt: skip
    store.close()
