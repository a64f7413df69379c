"""The rollup has each event once, and what it adds up is what the table has."""

import math
import random
from itertools import pairwise

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_support import ROLLUPS, check_rollups, columns, rolled_up

from common.event import Event, Type, pack, unpack
from events.store import NotReachableError, Store

NOON = 1_790_000_000.0 // 86400 * 86400 + 43200


def events(count: int) -> list[Event]:
    """Over two days and three hours, of some kinds."""
    choose = random.Random(1).choice
    return [
        Event(
            time=NOON + i % 180 * 60 + choose((0, 43200)), type=choose(list(Type)), pool=choose(("default", "other")),
            domain=choose(("a.example", "b.example")), campaign=choose(("", "spring")), attempt=choose((0, 3)),
            provider=choose(("", "google")), source_address=choose(("192.0.2.1", "")), reason=choose(("", "connect")),
            sender=choose(("", "Ann@One.example", "postmaster")), recipients=choose(((), ("x", "y"))),
            bounce_class=choose(("", "policy")), bounce_type=choose(("hard", "")), tls_version=choose(("", "TLSv1.3")),
            size=i, count=choose((1, 5)), time_total=choose((0, 0.2, 4e5)), time_connect=choose((0, 0.01)),
            time_queue=choose((0, 1)), time_transfer=choose((0, 0.5)),
        )
        for i in range(count)
    ]  # fmt: skip


def insert(store: Store, rows: list[Event], token: str = "t") -> None:
    places = ({"stream_sequence": 1, "row_number": i} for i in range(len(rows)))
    store.insert("events", columns([row | place for row, place in zip(unpack(pack(rows)), places, strict=True)]), token)


def test_it_adds_up(store: Store) -> None:
    rows = events(2000)
    for first, last in pairwise(range(0, 2001, 500)):
        insert(store, rows[first:last], f"{first}")
    check_rollups(store)
    assert sum(row["rows"] for row in rolled_up(store)) == 2000
    for table in ROLLUPS:
        store.client.command(f"OPTIMIZE TABLE {table} FINAL")
    check_rollups(store)


def test_a_repeated_insert_adds_nothing(store: Store) -> None:
    for _ in range(3):
        insert(store, events(500))
    check_rollups(store)
    assert sum(row["rows"] for row in rolled_up(store)) == 500


@pytest.mark.parametrize("table", ROLLUPS)
def test_a_repeat_completes_an_insert_that_ended_between_table_and_rollup(store: Store, table: str) -> None:
    store.client.command(f"ALTER TABLE {table} ADD CONSTRAINT none CHECK rows = 0")
    with pytest.raises(NotReachableError):  # worth another try, and no fault of the rows
        insert(store, events(500))
    assert store.query("SELECT count() AS n FROM events", {}) == [{"n": 500}]
    store.client.command(f"ALTER TABLE {table} DROP CONSTRAINT none")
    insert(store, events(500))
    check_rollups(store)
    assert sum(row["rows"] for row in rolled_up(store)) == 500


@pytest.mark.parametrize(
    "settings",
    [
        {"max_insert_block_size": "7", "min_insert_block_size_rows": "7", "min_insert_block_size_bytes": "1"},
        {"use_strict_insert_block_limits": "1", "max_insert_block_size_rows": "7"},
        {"max_threads": "4", "max_insert_threads": "4", "parallel_view_processing": "1"},
        {"min_insert_block_size_rows_for_materialized_views": "10"},
        {"deduplicate_blocks_in_dependent_materialized_views": "0", "insert_deduplicate": "1"},
    ],
)
def test_whatever_a_server_has_for_settings(store: Store, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        store.client.set_client_setting(name, value)
    test_a_repeat_completes_an_insert_that_ended_between_table_and_rollup(store, "domains_by_hour")


@pytest.mark.parametrize("seconds", [0.0004, 0.001, 0.25, 0.26, 1, 3600, 432_000, 1e12, math.inf])
def test_a_latency_lies_in_its_bucket(store: Store, seconds: float) -> None:
    insert(store, [Event(time=NOON, type=Type.DELIVERED, time_total=seconds, time_queue=seconds)])
    for table in ROLLUPS:
        [row] = store.query(f"SELECT latency_total AS total, latency_queue AS queue FROM {table}", {})
        [(bucket, count)] = row["total"].items()
        assert row["queue"] == row["total"]
        assert count == 1
        within = min(max(seconds, 0.001), 1e9)
        assert 2 ** ((bucket - 1) / 4) * 0.999 < within <= 2 ** (bucket / 4) * 1.001


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_no_latency_is_not_counted(store: Store, seconds: float) -> None:
    insert(store, [Event(time=NOON, type=Type.ACCEPTED, time_total=seconds, time_connect=seconds)])
    [row] = store.query("SELECT latency_total AS total, latency_connect AS connect FROM domains_by_minute", {})
    assert row == {"total": {}, "connect": {}}


def test_a_view_that_somebody_added_and_that_fails_sets_nothing_aside(store: Store) -> None:
    store.client.command("CREATE TABLE other (n UInt8) ENGINE = MergeTree ORDER BY n")
    view = "CREATE MATERIALIZED VIEW others TO other AS SELECT throwIf(size > 10) AS n FROM events"
    store.client.command(view)
    with pytest.raises(NotReachableError):
        insert(store, events(20))
    with pytest.raises(DatabaseError):
        store.client.command("SELECT throwIf(1)")
