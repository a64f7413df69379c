"""An embedded ClickHouse for tests: a process of its own on a random port, ended by its id."""

import itertools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from events.store import Store
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
