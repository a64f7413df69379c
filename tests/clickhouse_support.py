"""An embedded ClickHouse for tests: a process of its own on a random port, ended by its id."""

import itertools
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.config import Events
from events.store import COLUMNS, Store
from master import clickhouse_server
from master.sockets import free_port

PASSWORD = "clickhouse:for/tests"
READER_PASSWORD = "reader:for/tests"
_numbers = itertools.count(1)
#: Rows of a fixed day in 2026 are still there in later years.
FOR_EVER = Events(keep="10000d", keep_personal="10000d", keep_minutes="10000d", keep_hours="10000d")  # type: ignore[arg-type]


@dataclass
class ClickHouse:
    """One that a test may stop, kill and start again on the same folder."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    arguments: tuple[str, ...] = ()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = self.port or free_port()
        child = clickhouse_server.child(self.folder, self.port, PASSWORD, 0, reader_password=READER_PASSWORD)
        self.process = subprocess.Popen([*child.argv, *self.arguments], env=os.environ | child.environment)
        clickhouse_server._wait_for(f"{self.url}/ping")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def store(self, database: str = "") -> Store:
        """A store on a database, a new one if none is named."""
        return Store(self.database_url(database or f"test_{next(_numbers)}"))

    def database_url(self, database: str) -> str:
        """As ``clickhouse.url`` has it."""
        password = PASSWORD.replace(":", "%3A").replace("/", "%2F")
        return f"http://{clickhouse_server.USER}:{password}@127.0.0.1:{self.port}/{database}"


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows, maps of column to value, as ``Store.insert`` takes them."""
    return {name: [row.get(name, default) for row in rows] for name, default in COLUMNS.items()}


#: Rollup to what it is by beside time, pool and type, and to the function that makes its times.
_BY_TRAFFIC = "provider, campaign, sender_domain, source_address, reason, bounce_class, bounce_type, tls_version"
_BY_DOMAINS = "domain, provider, reason, bounce_class, bounce_type"
ROLLUPS = {
    "traffic_by_minute": (_BY_TRAFFIC, "toStartOfMinute"), "traffic_by_hour": (_BY_TRAFFIC, "toStartOfHour"),
    "domains_by_minute": (_BY_DOMAINS, "toStartOfMinute"), "domains_by_hour": (_BY_DOMAINS, "toStartOfHour"),
}  # fmt: skip
_TIMES = ("queue", "connect", "transfer", "total")


def rolled_up(store: Store, table: str = "traffic_by_hour") -> list[dict[str, Any]]:
    """What a rollup has, added up; of latencies how many were counted."""
    by, _ = ROLLUPS[table]
    sums = ", ".join(f"sum(r.{name}) AS {name}" for name in ("rows", "count", "bytes", "recipients", "attempts"))
    timed = ", ".join(f"arraySum(mapValues(sumMap(latency_{name}))) AS timed_{name}" for name in _TIMES)
    what = f"time, pool, type, {by}, {sums}, {timed}"
    return store.query(f"SELECT {what} FROM {table} AS r GROUP BY ALL ORDER BY ALL", {})


def added_up(store: Store, table: str = "traffic_by_hour") -> list[dict[str, Any]]:
    """What a rollup should have, from the events."""
    by, start = ROLLUPS[table]
    sender = "if(position(sender, '@') > 0, lower(splitByChar('@', sender)[-1]), '') AS sender_domain"
    by = by.replace("sender_domain", sender)
    sums = """count() AS rows, sum(e.count) AS count, sum(size) AS bytes, sum(length(e.recipients)) AS recipients,
        sum(attempt) AS attempts"""
    timed = ", ".join(f"countIf(time_{name} > 0) AS timed_{name}" for name in _TIMES)
    what = f"{start}(e.time) AS time, pool, type, {by}, {sums}, {timed}"
    return store.query(f"SELECT {what} FROM events AS e GROUP BY ALL ORDER BY ALL", {})


def check_rollups(store: Store) -> None:
    """Each event is once in each rollup."""
    for table in ROLLUPS:
        assert rolled_up(store, table) == added_up(store, table), table
