"""Rows go in once, and errors say whether to try again."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from clickhouse_support import FOR_EVER, ClickHouse, columns

from common.errors import ConfigError
from common.event import Event, Status, Type, pack, unpack
from events import schema
from events.store import NotReachableError, RefusedError, RowsError, Store

NOW = 1_790_000_000.125


def rows(*events: Event, first: int = 1) -> dict[str, list[Any]]:
    """As the recorder has them."""
    places = ({"stream_sequence": first + i, "row_number": i} for i in range(len(events)))
    return columns([row | place for row, place in zip(unpack(pack(events)), places, strict=True)])


def count(store: Store) -> int:
    return int(store.query("SELECT count() AS n FROM events", {})[0]["n"])


def test_every_field_comes_back(store: Store) -> None:
    event = Event(
        time=NOW, type=Type.DEFERRED, submission="s", delivery="s-1", attempt=2, pool="default", sender="a@b.example",
        recipient="ü@c.example", recipients=("x", "y"), tags=("t", "u"), meta={"k": "v"}, size=2**33, priority=4,
        status=Status.DEFERRED, code=451, enhanced_code="4.7.1", text="tab\tnew\nline\0'\\", signatures=("b:s:rsa",),
        next_attempt=NOW + 300, time_queue=0.5, time_total=0.25,
    )  # fmt: skip
    store.insert("events", rows(event), "t")
    (row,) = store.query("SELECT * FROM events", {})
    assert (row.pop("stream_sequence"), row.pop("row_number")) == (1, 0)
    back = row | {name: tuple(row[name]) for name in ("recipients", "tags", "signatures")}
    back |= {name: row[name].timestamp() for name in ("time", "next_attempt")}
    assert Event(**back) == event


def test_a_repeated_token_inserts_nothing(store: Store) -> None:
    events = [Event(time=NOW, type=Type.DELIVERED) for _ in range(3)]
    store.insert("events", rows(*events), "1.1.3")
    store.insert("events", rows(*events), "1.1.3")
    assert count(store) == 3
    store.insert("events", rows(*events), "1.4.6")
    assert count(store) == 6


def test_a_repeated_token_after_a_crash(tmp_path: Path) -> None:
    server = ClickHouse(tmp_path)
    server.start()
    store = server.store("events")
    schema.migrate(store.client, FOR_EVER)
    events = rows(*[Event(time=NOW + i, type=Type.DELIVERED) for i in range(3)])
    store.insert("events", events, "t")
    server.kill()
    with pytest.raises(NotReachableError) as down:
        store.insert("events", events, "t")
    assert "query_id" not in str(down.value)
    server.start()
    store.insert("events", events, "t")
    assert count(store) == 3
    store.close()
    assert server.stop() == 0


def test_an_insert_needs_no_pandas(clickhouse: ClickHouse) -> None:
    """clickhouse-connect would import it, which costs each process 80 MB: chdb brings it along."""
    program = """
import sys
from events.store import Store
store = Store(sys.argv[1])
store.client.command("CREATE TABLE t (id String, time_total Float32) ENGINE = Memory")
store.insert("t", {"id": ["i"], "time_total": [1.5]}, "token")
print(store.query("SELECT * FROM t", {}), *{"pandas", "numpy", "pyarrow"} & set(sys.modules))
"""
    url = clickhouse.database_url("without_pandas")
    said = subprocess.check_output([sys.executable, "-c", program, url], text=True)
    assert said == "[{'id': 'i', 'time_total': 1.5}]\n"


@pytest.mark.parametrize(
    "wrong",
    [{"code": 70000}, {"code": "x"}, {"attempt": None}, {"time": "now"}, {"time": 1e300}, {"meta": 3}, {"text": 3},
     {"recipients": [3]}, {"type": ["held"]}, {"id": "\ud800"}],
)  # fmt: skip
def test_rows_with_a_value_that_cannot_be_stored(store: Store, wrong: dict[str, Any]) -> None:
    good = rows(*[Event(time=NOW, type=Type.HELD)] * 3)
    with pytest.raises(RowsError, match="a value that its column cannot hold"):
        store.insert("events", {name: [*good[name][:2], wrong.get(name, good[name][2])] for name in good}, "t")
    assert count(store) == 0
    store.insert("events", good, "t")
    assert count(store) == 3


def test_rows_that_a_constraint_refuses(store: Store) -> None:
    store.client.command("ALTER TABLE events ADD CONSTRAINT small CHECK size < 10")
    for name in ("min_insert_block_size_rows", "min_insert_block_size_bytes"):  # a server that gathers no blocks
        store.client.set_client_setting(name, "1")
    many = [Event(time=NOW, type=Type.HELD, size=1, text="x" * 500)] * 9999
    with pytest.raises(RowsError, match="small"):
        store.insert("events", rows(*many, Event(time=NOW, type=Type.HELD, size=100)), "t")
    assert count(store) == 0


@pytest.mark.parametrize(
    "change",
    ["DROP TABLE events", "ALTER TABLE events MODIFY SETTING table_readonly = 1", "DROP TABLE traffic_by_minute"],
)
def test_what_would_befall_any_row_is_no_fault_of_rows(store: Store, change: str) -> None:
    store.client.command(change)
    with pytest.raises((NotReachableError, RefusedError)) as error:
        store.insert("events", rows(Event(time=NOW, type=Type.HELD)), "t")
    assert not isinstance(error.value, RowsError)


@pytest.mark.parametrize(("type", "refused"), [("String", False), ("Array(String)", True)])
def test_a_column_of_another_type_is_no_fault_of_rows(store: Store, type: str, refused: bool) -> None:
    for column in ("code", "text"):
        store.client.command(f"ALTER TABLE events DROP COLUMN {column}, ADD COLUMN {column} {type}")
    try:
        store.insert("events", rows(Event(time=NOW, type=Type.HELD, code=250, text="x")), "t")
    except (RefusedError, NotReachableError) as error:
        assert not isinstance(error, RowsError)
    assert count(store) == (not refused)


def test_rows_of_many_days(store: Store) -> None:
    for view in ("events_to_traffic", "events_to_domains"):
        store.client.command(f"DROP VIEW {view}")
    store.client.command("ALTER TABLE events MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")
    store.insert("events", rows(*[Event(time=NOW - i * 86400, type=Type.HELD) for i in range(101)]), "t")
    assert count(store) == 101


def test_query_that_is_wrong(store: Store) -> None:
    with pytest.raises(RefusedError, match="UNKNOWN_IDENTIFIER"):
        store.query("SELECT nothing FROM events", {})


def test_wrong_password(clickhouse: ClickHouse) -> None:
    with pytest.raises(NotReachableError, match="Authentication failed"):
        Store(f"http://postjet:wrong@127.0.0.1:{clickhouse.port}/x").client  # noqa: B018


@pytest.mark.parametrize("url", ["clickhouse://u:secret@h", "localhost:8123", ""])
def test_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        Store(url)
    assert "secret" not in str(error.value)


def test_many_rows_are_one_part(store: Store) -> None:
    start = time.time()
    many = [Event(time=start + i / 1000, type=Type.DELIVERED, text="x" * 200) for i in range(20_000)]
    store.insert("events", rows(*many), "t")
    query = "SELECT count() AS n FROM system.parts WHERE database = currentDatabase() AND active AND table = 'events'"
    assert count(store) == 20_000
    assert store.query(query, {})[0]["n"] <= 2  # one for each day, two at midnight
