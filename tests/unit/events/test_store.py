"""Rows go in once, and errors say whether to try again."""

import time
from pathlib import Path
from typing import Any

import pytest
from clickhouse_support import ClickHouse

from common.errors import ConfigError
from common.event import Event, Status, Type, pack, unpack
from events import schema
from events.store import NotReachableError, RefusedError, Store

NOW = 1_790_000_000.125


def rows(*events: Event, first: int = 1) -> list[dict[str, Any]]:
    """As the recorder has them."""
    return [row | {"stream_sequence": first + i, "row_number": i} for i, row in enumerate(unpack(pack(list(events))))]


def count(store: Store) -> int:
    return int(store.query("SELECT count() AS n FROM events", {})[0]["n"])


def test_every_field_comes_back(store: Store) -> None:
    event = Event(
        time=NOW, type=Type.DEFERRED, submission="s", delivery="s-1", attempt=2, pool="default", sender="a@b.example",
        recipient="ü@c.example", recipients=("x", "y"), tags=("t", "u"), meta={"k": "v"}, size=2**33, priority=4,
        status=Status.DEFERRED, code=451, enhanced_code="4.7.1", text="tab\tnew\nline\0'\\", signatures=("b:s:rsa",),
        next_attempt=NOW + 300, time_queue=0.5, time_total=0.25,
    )  # fmt: skip
    store.insert(rows(event), "t")
    (row,) = store.query("SELECT * FROM events", {})
    assert (row.pop("stream_sequence"), row.pop("row_number")) == (1, 0)
    back = row | {name: tuple(row[name]) for name in ("recipients", "tags", "signatures")}
    back |= {name: row[name].timestamp() for name in ("time", "next_attempt")}
    assert Event(**back) == event


def test_a_repeated_token_inserts_nothing(store: Store) -> None:
    events = [Event(time=NOW, type=Type.DELIVERED) for _ in range(3)]
    store.insert(rows(*events), "1.1.3")
    store.insert(rows(*events), "1.1.3")
    assert count(store) == 3
    store.insert(rows(*events), "1.4.6")
    assert count(store) == 6


def test_a_repeated_token_after_a_crash(tmp_path: Path) -> None:
    server = ClickHouse(tmp_path)
    server.start()
    store = server.store("events")
    schema.migrate(store.client, 86400 * 10000)
    events = rows(*[Event(time=NOW + i, type=Type.DELIVERED) for i in range(3)])
    store.insert(events, "t")
    server.kill()
    with pytest.raises(NotReachableError) as down:
        store.insert(events, "t")
    assert "query_id" not in str(down.value)
    server.start()
    store.insert(events, "t")
    assert count(store) == 3
    store.close()
    assert server.stop() == 0


def test_names_that_are_no_columns_are_left_out(store: Store) -> None:
    store.insert([row | {"later": 1} for row in rows(Event(time=NOW, type=Type.HELD))], "t")
    assert count(store) == 1


@pytest.mark.parametrize("wrong", [{"code": 70000}, {"code": "x"}, {"time": "now"}, {"meta": 3}])
def test_data_that_cannot_be_stored(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        store.insert([rows(Event(time=NOW, type=Type.HELD))[0] | wrong], "t")
    store.insert(rows(Event(time=NOW, type=Type.HELD)), "t")
    assert count(store) == 1


def test_row_without_what_every_row_has(store: Store) -> None:
    with pytest.raises(RefusedError, match="a row without id"):
        store.insert([{"time": NOW, "type": "held", "stream_sequence": 1, "row_number": 0}], "t")


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
    store.insert(rows(*[Event(time=start + i / 1000, type=Type.DELIVERED, text="x" * 200) for i in range(20_000)]), "t")
    parts = store.query("SELECT count() AS n FROM system.parts WHERE database = currentDatabase() AND active", {})
    assert count(store) == 20_000
    assert parts[0]["n"] <= 3  # one for each day (two at midnight), one of the migrations
