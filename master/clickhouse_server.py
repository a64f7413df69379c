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


def child(
    data_dir: Path, port: int, password: str, lock_fd: int, *, host: str = "127.0.0.1", reader_password: str = ""
) -> Child:
    """The process, ready to start; ``host`` as URLs write it. Without a password for it there is no reader."""

    async def answers() -> None:
        await asyncio.to_thread(_wait_for, f"http://{reached_at(host)}:{port}/ping")

    return Child(
        "clickhouse",
        [
            sys.executable,
            "-m",
            "events.embedded",
            "--bind",
            f"{host}:{port}",
            "--path",
            str(data_dir / "clickhouse"),
        ],
        environment={
            "POSTJET_CLICKHOUSE_USER": USER,
            "POSTJET_CLICKHOUSE_PASSWORD": password,
            "POSTJET_CLICKHOUSE_READER_PASSWORD": reader_password,
        },
        fds=(lock_fd,),
        death_signal=signal.SIGTERM,
        on_start=answers,
    )


def reached_at(host: str) -> str:
    """Where this machine finds a server that listens on a host; both as URLs write them."""
    return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)


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
