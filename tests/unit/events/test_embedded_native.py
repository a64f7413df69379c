"""Native blocks for newer protocol versions, made from what the engine really writes."""

import pytest
from clickhouse_support import ClickHouse

from events.embedded.engine import EngineError
from events.embedded.native import with_block_info
from events.store import Store

TYPES = """SELECT
    toUInt8(number) AS a, toString(number) AS b, [number, number + 1] AS c, toNullable('x') AS d, NULL AS e,
    toLowCardinality(toString(number % 300)) AS f, [toLowCardinality(toNullable('y')), NULL] AS g,
    map('k', [1, 2], 'l', []) AS h, CAST((1, ['z']), 'Tuple(`a b` UInt8, c Array(LowCardinality(String)))') AS i,
    CAST('on', 'Enum16(\\'on\\' = 1, \\'o,f(f\\' = 2)') AS j, CAST(1, 'Decimal(15, 3)') AS k, toInt64(5) AS l,
    now64(3) AS m, toDate32('2026-01-01') AS n, generateUUIDv4() AS o, toIPv6('::1') AS p, toFixedString('ab', 4) AS q,
    toIntervalDay(3) AS r, true AS s, CAST([], 'Array(LowCardinality(String))') AS t, toFloat64(1) AS u,
    CAST([(1, 'x')], 'Nested(a UInt8, b String)') AS v, CAST(1, 'Decimal(9, 2)') AS w, toTypeName(1) AS z
FROM numbers(1000) SETTINGS max_block_size = 300, max_threads = 1"""
INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


def native(store: Store, query: str) -> bytes:
    data = store.client.raw_query(query, fmt="Native")
    assert isinstance(data, bytes)
    return data


def test_every_column_says_how_it_is_serialised(store: Store) -> None:
    data = native(store, "SELECT 'vm' AS name, 7::UInt8 AS n")
    assert data == b"\x02\x01\x04name\x06String\x02vm\x01n\x05UInt8\x07"
    assert with_block_info(data) == INFO + b"\x02\x01\x04name\x06String\x00\x02vm\x01n\x05UInt8\x00\x07"


def test_every_type_ends_where_the_next_begins(store: Store) -> None:
    data = native(store, TYPES)
    result = with_block_info(data)
    blocks = result.count(INFO)
    assert blocks > 1
    assert len(result) == len(data) + blocks * (len(INFO) + 24)
    assert result.count(b"\x01z\x06String\x00") == blocks


def test_no_rows(store: Store) -> None:
    assert with_block_info(native(store, "SELECT 1 WHERE 0")) == b""


def test_a_type_that_is_not_known(store: Store) -> None:
    with pytest.raises(EngineError, match="AggregateFunction"):
        with_block_info(native(store, "SELECT sumState(1) AS s"))


def test_only_newer_clients_get_it(store: Store, clickhouse: ClickHouse) -> None:
    for version, start in ((54405, b"\x01\x01\x011"), (54460, INFO)):
        data = store.client.raw_query("SELECT 1", fmt="Native", settings={"client_protocol_version": version})
        assert isinstance(data, bytes)
        assert data.startswith(start)
