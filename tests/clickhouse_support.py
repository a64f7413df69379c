"""An embedded ClickHouse for tests: a process of its own on a random port, ended by its id."""

import itertools
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from events.store import COLUMNS, Store
from master import clickhouse_server
from master.sockets import free_port

PASSWORD = "clickhouse:for/tests"
_numbers = itertools.count(1)


@dataclass
class ClickHouse:
    """One that a test may stop, kill and start again on the same folder."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = self.port or free_port()
        child = clickhouse_server.child(self.folder, self.port, PASSWORD, 0)
        self.process = subprocess.Popen(child.argv, env=os.environ | child.environment)
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


#: Ask these of ``Store.query``: they are equal where each event is in table and rollup once.
TABLE = """SELECT type, pool, worker, domain, campaign, toStartOfMinute(time) AS minute, count() AS rows,
    sum(events.count) AS count, sum(size) AS bytes, countIf(time_total > 0) AS timed
    FROM events GROUP BY ALL ORDER BY ALL"""
ROLLUP = """SELECT type, pool, worker, domain, campaign, minute, sum(events_by_minute.rows) AS rows,
    sum(events_by_minute.count) AS count, sum(events_by_minute.bytes) AS bytes,
    arraySum(mapValues(sumMap(latency_total))) AS timed
    FROM events_by_minute GROUP BY ALL ORDER BY ALL"""
