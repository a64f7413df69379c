"""The embedded ClickHouse as a child of the parent."""

import asyncio
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from common.errors import UnavailableError
from master.child import Child

USER = "postjet"
START_TIMEOUT = 60.0


def child(data_dir: Path, port: int, password: str, lock_fd: int) -> Child:
    """The process, ready to start."""

    async def answers() -> None:
        await asyncio.to_thread(_wait_for, f"http://127.0.0.1:{port}/ping")

    return Child(
        "clickhouse",
        [
            sys.executable,
            "-m",
            "events.embedded",
            "--bind",
            f"127.0.0.1:{port}",
            "--path",
            str(data_dir / "clickhouse"),
        ],
        environment={"POSTJET_CLICKHOUSE_USER": USER, "POSTJET_CLICKHOUSE_PASSWORD": password},
        fds=(lock_fd,),
        death_signal=signal.SIGTERM,
        on_start=answers,
    )


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise UnavailableError(f"the embedded ClickHouse does not answer: {error}") from None
            time.sleep(0.05)
