"""What the user who may only read can have the embedded ClickHouse do."""

import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest
from clickhouse_support import READER_PASSWORD, ClickHouse

from events.embedded import reader
from events.embedded.engine import EngineError
from events.store import Store

SECRET = '{"password": "hunter2"}'


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of ours, beside which nothing is to be written."""
    path = tmp_path / "instance.json"
    path.write_text(f"{SECRET}\nsecond\n")
    return path


def ask(clickhouse: ClickHouse, sql: str, **params: str) -> tuple[int, str]:
    """Status and answer."""
    login = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READER_PASSWORD}
    request = urllib.request.Request(f"{clickhouse.url}/?{urlencode(params)}", sql.encode(), login)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    "sql",
    [
        "DESCRIBE file('{file}', 'TSVWithNames')",
        "/* SELECT */ desc TABLE file('{file}', 'TSVWithNames')",
        "# SELECT\nDESC file('{file}', 'TSVWithNames')",
        "SELECT 1; DESC file('{file}', 'TSVWithNames')",
        "SELECT * FROM file('{file}', 'LineAsString')",
        "SELECT * FROM file('{file}', 'LineAsString', 'line String')",
        "EXPLAIN SELECT * FROM file('{file}', 'TSVWithNames')",
        "SELECT * FROM view(SELECT * FROM file('{file}', 'LineAsString'))",
    ],
)
def test_it_reads_no_files(clickhouse: ClickHouse, secret: Path, sql: str) -> None:
    status, answer = ask(clickhouse, sql.format(file=secret))
    assert status != 200
    assert "hunter2" not in answer


@pytest.mark.parametrize("name", ["format_template_resultset", "format_template_row", "format_schema"])
def test_settings_read_no_files(clickhouse: ClickHouse, secret: Path, name: str) -> None:
    status, answer = ask(clickhouse, "SELECT 1 AS a FORMAT Template", **{name: str(secret)})
    assert f"Cannot modify '{name}' setting in readonly mode" in answer
    assert status != 200


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 INTO OUTFILE '{file}'",
        "SELECT 1 # '\n INTO OUTFILE '{file}' # '",
        "SELECT $$'$$ INTO OUTFILE '{file}' -- '",
        "SELECT $$($$ INTO OUTFILE '{file}'",
        "(SELECT 1) INTO OUTFILE '{file}'",
    ],
)
def test_it_writes_no_files(clickhouse: ClickHouse, tmp_path: Path, sql: str) -> None:
    status, _ = ask(clickhouse, sql.format(file=tmp_path / "written"))
    assert status != 200
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "sql",
    [
        "KILL QUERY WHERE 0",
        "SELECT 1; KILL QUERY WHERE 0",
        "EXPLAIN SELECT 1; KILL QUERY WHERE 0",
        "DESCRIBE url('{url}/ping', 'LineAsString')",
        "SELECT hasColumnInTable('127.0.0.1:1', 'u', 'p', 'system', 'one', 'dummy')",
        r"SELECT `hasColumnInT\x61ble`('127.0.0.1:1', 'u', 'p', 'system', 'one', 'dummy')",
        "SELECT 1; SELECT 2",
        "SELECT 1; SET readonly = 0",
    ],
)
def test_it_ends_no_queries_and_reaches_no_hosts(clickhouse: ClickHouse, sql: str) -> None:
    status, answer = ask(clickhouse, sql.format(url=clickhouse.url))
    assert (status, "READONLY" in answer) == (500, True)


def test_limits_hold(clickhouse: ClickHouse) -> None:
    limits = "SELECT getSetting('max_execution_time'), getSetting('max_memory_usage'), getSetting('readonly')"
    assert ask(clickhouse, limits) == (200, "60\t1000000000\t1\n")
    assert ask(clickhouse, limits, max_execution_time="5")[1].startswith("5\t")
    for endless in ("0", "61", "-1", "x"):
        assert ask(clickhouse, limits, max_execution_time=endless)[1].startswith("60\t")
    assert ask(clickhouse, limits, max_memory_usage="0")[0] == 500
    assert ask(clickhouse, "DROP TABLE a", readonly="0")[0] == 500


def test_it_reads_tables(clickhouse: ClickHouse, store: Store) -> None:
    database = store.client.database
    for sql in ("DESC TABLE events", "-- a comment\nSELECT count() FROM events;\n", "(SELECT 1)", "SHOW TABLES",
                "WITH 1 AS a SELECT a", "EXPLAIN SELECT time FROM events ORDER BY time DESC"):  # fmt: skip
        assert ask(clickhouse, sql, database=str(database))[0] == 200


@pytest.mark.parametrize("text", [b"", b"/* SELECT 1", b"-- SELECT 1", b"SELECTED", b"\xff", b";"])
def test_what_is_no_query(text: bytes) -> None:
    with pytest.raises(EngineError, match="may only read"):
        reader.check(text)
