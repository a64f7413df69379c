"""The embedded ClickHouse as its users see it: clickhouse-connect, curl, Grafana, the parent."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_support import PASSWORD, READER_PASSWORD, ClickHouse

from master.clickhouse_server import USER
from master.sockets import free_port

KEYS = {"X-ClickHouse-User": USER, "X-ClickHouse-Key": PASSWORD}
READER = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READER_PASSWORD}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A running server with a table."""
    server = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    ask(server, "CREATE TABLE t (n UInt32, s String, t DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY n")
    yield server
    server.kill()


@pytest.fixture
def client(server: ClickHouse) -> Iterator[Client]:
    """clickhouse-connect with all its defaults."""
    client = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, username=USER, password=PASSWORD)
    client.command("TRUNCATE TABLE t")
    yield client
    client.close()


def request(server: ClickHouse, body: bytes | None, headers: dict[str, str] = KEYS, **params: str) -> Any:
    query = urllib.parse.urlencode(params)
    return urllib.request.urlopen(urllib.request.Request(f"{server.url}/?{query}", body, headers), timeout=20)


def ask(server: ClickHouse, query: str, **params: str) -> bytes:
    with request(server, query.encode(), **params) as response:
        return bytes(response.read())


def refusal(server: ClickHouse, text: str, headers: dict[str, str] = KEYS, **params: str) -> tuple[int, int, bytes]:
    """Status, code and text of an error."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        request(server, text.encode() or None, headers, **params)
    with refused.value as error:
        return error.code, int(error.headers["X-ClickHouse-Exception-Code"]), error.read()


def test_clickhouse_connect_writes_and_reads(client: Client) -> None:
    rows = [[i, "x" * (i % 100), 1_790_000_000_000 + i] for i in range(50_000)]  # more than one block and chunk
    summary = client.insert("t", rows, column_names=["n", "s", "t"])
    assert summary.written_rows == 50_000
    assert client.query("SELECT count(), sum(length(s)) FROM t").result_rows == [(50_000, 2_475_000)]
    assert client.query("SELECT n FROM t WHERE n < {n:UInt32} ORDER BY n", {"n": 3}).result_rows == [(0,), (1,), (2,)]
    assert client.query("SELECT * FROM t LIMIT 0").column_names == ("n", "s", "t")
    assert client.command("SELECT count() FROM t WHERE s = {s:String}", {"s": "it's\\\n"}) == 0
    assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    long = ["y" * 10_000]  # goes as a form
    assert client.query("SELECT length({x:Array(String)}[1])", {"x": long}).result_rows == [(10_000,)]


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_clickhouse_connect_compresses(server: ClickHouse, compress: Any) -> None:
    login: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "username": USER, "password": PASSWORD}
    client = clickhouse_connect.get_client(**login, compress=compress)
    client.command("CREATE TABLE IF NOT EXISTS compressed (a UInt32) ENGINE = Memory")
    client.command("TRUNCATE TABLE compressed")
    client.insert("compressed", [[i] for i in range(1000)], column_names=["a"])
    assert client.query("SELECT sum(a) FROM compressed").result_rows == [(499_500,)]
    client.close()


def test_errors_are_clickhouses(server: ClickHouse, client: Client) -> None:
    with pytest.raises(DatabaseError) as refused:
        client.query("SELECT * FROM nowhere")
    assert (refused.value.code, refused.value.name) == (60, "UNKNOWN_TABLE")
    for text, status, code in (("SELEC", 400, 62), ("SELECT nope", 404, 47), ("SELECT 1 INTO OUTFILE 'x'", 501, 1)):
        answer = refusal(server, text)
        assert answer[:2] == (status, code)
        assert answer[2].startswith(f"Code: {code}. DB::Exception: ".encode())
    assert refusal(server, "SELECT 1", KEYS | {"X-ClickHouse-Key": "wrong"})[:2] == (403, 516)
    assert refusal(server, "SELECT 1", database="nowhere")[:2] == (404, 81)
    assert refusal(server, "INSERT INTO t FORMAT CSV\nx", {**KEYS, "Content-Encoding": "gzip"})[:2] == (500, 1001)
    assert ask(server, "SELECT 1") == b"1\n"


def test_settings_belong_to_one_query(server: ClickHouse) -> None:
    query = "SELECT getSetting('max_threads'), getSetting('readonly')"
    assert ask(server, query, max_threads="1", readonly="1") == b"1\t1\n"
    assert ask(server, query) == b"2\t0\n"
    assert refusal(server, query, nonsense="1")[:2] == (404, 115)
    assert refusal(server, query, **{"max_threads = 1, readonly": "0"})[:2] == (404, 115)
    assert refusal(server, "SELECT sleep(3)", max_execution_time="0.1")[:2] == (408, 159)


def test_a_get_changes_nothing(server: ClickHouse) -> None:
    assert refusal(server, "", query="CREATE TABLE by_get (a UInt8) ENGINE = Memory")[1] == 164
    with request(server, None, query="SELECT 1") as response:
        assert response.read() == b"1\n"


@pytest.mark.parametrize(("given", "echoed"), [("my-id", True), ("a\r\nSet-Cookie: b", False), ("é", False)])
def test_query_ids_are_echoed(server: ClickHouse, given: str, echoed: bool) -> None:
    with request(server, b"SELECT 1", query_id=given) as response:
        assert (response.headers["X-ClickHouse-Query-Id"] == given) == echoed
        assert "Set-Cookie" not in response.headers


def test_curl(server: ClickHouse, client: Client) -> None:
    def curl(*arguments: str, input: bytes = b"") -> bytes:
        command = ["curl", "-sS", "--user", f"{USER}:{PASSWORD}", *arguments]
        return subprocess.run(command, input=input, check=True, stdout=subprocess.PIPE).stdout

    insert = urllib.parse.quote("INSERT INTO t (n, s) FORMAT CSV")
    assert curl(f"{server.url}/?query={insert}", "--data-binary", "@-", input=b'1,"a;b"\n2,"c"\n') == b""
    packed = ("-H", "Content-Encoding: gzip", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-")
    assert curl(f"{server.url}/?query={insert}", *packed, input=gzip.compress(b"3,d\n")) == b""
    curl(server.url, "-d", "INSERT INTO t (n, s) VALUES (4, concat('e', 'f'))")
    curl(server.url, "--data-binary", "@-", input=b'INSERT INTO t FORMAT JSONEachRow\n{"n": 5, "s": "FORMAT"}')
    query = "SELECT n, s FROM t ORDER BY n FORMAT CSV"
    rows = curl("--compressed", f"{server.url}/?enable_http_compression=1", "-d", query)
    assert rows == b'1,"a;b"\n2,"c"\n3,"d"\n4,"ef"\n5,"FORMAT"\n'
    assert json.loads(curl(f"{server.url}/?default_format=JSON", "-d", "SELECT 1 AS x"))["data"] == [{"x": 1}]
    assert curl(f"{server.url}/ping") == curl(server.url) == b"Ok.\n"


@pytest.mark.parametrize("keys", [KEYS, READER])
def test_grafana(server: ClickHouse, client: Client, keys: dict[str, str]) -> None:
    """What clickhouse-go asks on connecting, and what dashboards ask, gzip and all, as one who may only read too."""
    client.insert("t", [[i, "x", 1_790_000_000_000 + i * 1000] for i in range(100)], column_names=["n", "s", "t"])
    params = {"database": "default", "default_format": "Native", "client_protocol_version": "54460"}
    params |= {"max_execution_time": "30"}  # clickhouse-go's own deadline
    for query, end in (
        ("SELECT displayName(), version(), revision(), timezone()", b"timezone()\x06String\x00\x03UTC"),
        ("SELECT 1", b"\x011\x05UInt8\x00\x01"),
        ("SELECT name FROM system.databases WHERE name = 'default'", b"\x00\x07default"),
        ("SELECT name FROM system.tables WHERE database = 'default' AND name = 't'", b"\x00\x01t"),
        ("SELECT name, type FROM system.columns WHERE table = 't' AND name = 'n'", b"\x00\x06UInt32"),
        ("SELECT toStartOfInterval(toDateTime(t), INTERVAL 60 second) AS time, count() AS c FROM t"
         " WHERE t >= fromUnixTimestamp64Milli(1789999990000) AND t <= toDateTime64(1790000300000 / 1000, 3)"
         " GROUP BY time ORDER BY time", b"UInt64\x00" + b"".join(
             n.to_bytes(8, "little") for n in (40, 60))),
    ):  # fmt: skip
        with request(server, query.encode(), keys | {"Accept-Encoding": "gzip"}, **params) as response:
            assert response.headers["X-ClickHouse-Format"] == "Native"
            data = response.read()
        assert data.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00")
        assert data.endswith(end), query


def test_the_reader_reads(server: ClickHouse, client: Client) -> None:
    client.insert("t", [[i, "x", 0] for i in range(3)], column_names=["n", "s", "t"])
    query = "(SELECT n FROM t WHERE n > {least:UInt32}) UNION ALL (SELECT n FROM t WHERE n > 7)"
    for format, answer in (("CSV", b"2\n"), ("JSONCompactEachRow", b"[2]\n")):
        with request(server, query.encode(), READER, param_least="1", default_format=format) as response:
            assert response.read() == answer
    ours = {"host": "127.0.0.1", "port": server.port, "username": "reader", "password": READER_PASSWORD}
    reader = clickhouse_connect.get_client(**ours)  # type: ignore[arg-type]
    assert reader.query("SELECT count() FROM t").result_rows == [(3,)]
    reader.close()


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO t VALUES (9, '', 0)",
        "INSERT INTO t SELECT 9, '', 0",
        "ALTER TABLE t DELETE WHERE 1",
        "TRUNCATE TABLE t",
        "CREATE TABLE u (a UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE u (a UInt8)",
        "KILL QUERY WHERE 1",
        "SYSTEM STOP MERGES",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "WITH 1 AS x INSERT INTO t SELECT 9, '', 0",
        # files of ours, where passwords are, and other servers
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1:1', 'system.one')",
    ],
)
def test_the_reader_does_nothing_else(server: ClickHouse, client: Client, query: str) -> None:
    client.insert("t", [[1, "x", 0]], column_names=["n", "s", "t"])
    for params in ({}, {"readonly": "0"}, {"readonly": "2"}):
        assert refusal(server, query, READER, **params)[:2] == (500, 164)
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    body = f"--x\r\nContent-Disposition: form-data; name=\"readonly\"\r\n\r\n0\r\n--x\r\n" \
           f"Content-Disposition: form-data; name=\"query\"\r\n\r\n{query}\r\n--x--\r\n"  # fmt: skip
    assert refusal(server, body, READER | form)[:2] == (500, 164)
    assert ask(server, "SELECT n, s FROM t") == b"1\tx\n"


def test_queries_are_answered_while_inserts_run(server: ClickHouse, client: Client) -> None:
    done = threading.Event()

    def insert() -> int:
        store = server.store("default")
        number = 0
        while not done.is_set():
            store.client.insert("t", [[number, "x", 0]] * 1000, column_names=["n", "s", "t"])
            number += 1
        store.close()
        return number

    with ThreadPoolExecutor(2) as threads:
        inserts = [threads.submit(insert) for _ in range(2)]
        seen = [int(ask(server, "SELECT count() FROM t")) for _ in range(30)]
        done.set()
        total = sum(future.result() for future in inserts) * 1000
    assert seen == sorted(seen)
    assert all(count % 1000 == 0 for count in seen)
    assert int(ask(server, "SELECT count() FROM t")) == total


def run(path: Path, port: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "events.embedded", "--bind", f"127.0.0.1:{port}", "--path", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_what_cannot_start_says_so_in_a_line(server: ClickHouse, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, port, code, words in (
        (server.folder / "clickhouse", free_port(), os.EX_TEMPFAIL, "is in use by another process"),
        (tmp_path / "file", free_port(), os.EX_CANTCREAT, "cannot write"),
        (tmp_path / "new", server.port, os.EX_TEMPFAIL, "Address already in use"),
    ):
        ended = run(path, port)
        assert (ended.returncode, ended.stderr.count("\n")) == (code, 1)
        assert words in ended.stderr


def test_sigterm_lets_running_queries_finish(tmp_path: Path) -> None:
    server = ClickHouse(tmp_path)
    server.start()
    ask(server, "CREATE TABLE kept (a UInt8) ENGINE = MergeTree ORDER BY a")
    with ThreadPoolExecutor(1) as threads:
        query = "INSERT INTO kept SELECT sleepEachRow(0.5) FROM numbers(2) SETTINGS max_block_size = 1"
        running = threads.submit(ask, server, query)
        while ask(server, "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO kept%'") == b"0\n":
            pass
        assert server.stop() == 0
        assert running.result() == b""
    server.start()
    assert ask(server, "SELECT count() FROM kept") == b"2\n"
    server.kill()


def test_a_query_that_does_not_end_holds_nobody_up(tmp_path: Path) -> None:
    server = ClickHouse(tmp_path, arguments=("--finish", "1"))
    server.start()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(ask, server, "SELECT sleepEachRow(1) FROM numbers(50) SETTINGS max_block_size = 1")
        while ask(server, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep%'") == b"0\n":
            pass
        assert server.stop() == -signal.SIGALRM
        assert isinstance(running.exception(), OSError)
    server.start()
    server.kill()
