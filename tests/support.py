"""Real servers and plausible values for tests; servers on loopback and random ports, ended by their ids."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from common.broker import Broker
from common.content import store
from common.entry import Entry
from common.ids import new_id
from master import nats_server

PASSWORD = "nats-for-tests"


@dataclass
class Nats:
    """A nats-server that a test may kill and start again on the same store."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    max_store: int = 2 * 10**9

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        for name in ("run", "log", "nats"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        child = nats_server.child(self.folder, self.port, PASSWORD, self.max_store, 0)
        self.process = subprocess.Popen(child.argv, env=child.environment, stdin=subprocess.DEVNULL)
        while True:  # else nats-py would find nobody, and wait before it tries again
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self.port)).close()
            assert self.process.poll() is None, (self.folder / "log" / "nats.log").read_text()[-2000:]
            time.sleep(0.005)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """It answers nothing from now on, but it lives."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # its threads may answer until all of them have stopped

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def broker(self) -> Broker:
        return Broker(self.url, name="test", user=nats_server.USER, password=PASSWORD)


_numbers = itertools.count(1)


def make_entry(recipient: str = "", **changes: object) -> Entry:
    """A plausible entry."""
    recipient = recipient or f"r{next(_numbers)}@example.com"
    now = time.time()
    values: dict[str, object] = {
        "submission": new_id(), "number": 1, "sender": "s@sender.example", "recipient": recipient,
        "domain": recipient.rpartition("@")[2], "accepted": now, "expires": now + 86400, "size": 100,
        "content": store(b"Subject: x\r\n\r\nhello\r\n"),
    }  # fmt: skip
    return Entry(**(values | changes))  # type: ignore[arg-type]


async def until(condition: object, timeout: float = 20.0) -> None:
    """Wait for what has no event of its own: another process's state. Raises AssertionError."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()  # type: ignore[operator]
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.02)
