"""A receiver of webhooks for tests: an HTTP server that answers, hangs, resets and is slow as it is told."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook as Verifier

from common.webhook import Webhook, new_secret

SECRET = new_secret()
OK = "200"


@dataclass
class Got:
    """A request."""

    line: str
    headers: dict[str, str]
    body: bytes
    time: float = field(default_factory=time.time)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verify(self, secret: str = SECRET) -> None:
        """Raises what standardwebhooks raises."""
        Verifier(secret).verify(self.body, self.headers)


class Receiver:
    """``answers`` says what each request gets, by its number from 0: ``200``, ``hang``, ``reset``, a whole answer."""

    def __init__(self, answers: Callable[[int, Got], str] = lambda _n, _got: OK) -> None:
        self.answers = answers
        self.got: list[Got] = []
        self.taken: list[Got] = []
        """Those that were answered 2xx."""
        self.connections = 0
        self.busy = self.most_busy = 0
        self.delay = 0.0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?a=1"

    @property
    def ids(self) -> list[str]:
        return [got.id for got in self.taken]

    async def start(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, host, self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Nobody listens any more; who is connected is cut off."""
        assert self._server
        self._server.close()
        serving = list(self._serving.items())
        for _, writer in serving:
            writer.transport.abort()
        await asyncio.gather(*(task for task, _ in serving), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._serving[task] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                got = await _request(reader)
                self.got.append(got)
                self.busy += 1
                self.most_busy = max(self.busy, self.most_busy)
                try:
                    answer = self.answers(len(self.got) - 1, got)
                    await asyncio.sleep(self.delay)
                    if answer == "hang":
                        await reader.read()
                        break
                finally:
                    self.busy -= 1
                if answer == "reset":
                    break
                if answer.startswith("2"):
                    self.taken.append(got)
                head, _, body = answer.partition("\n\n")
                status, *fields = head.split("\n")
                length = [] if "Transfer-Encoding" in head else [f"Content-Length: {len(body)}"]
                lines = [f"HTTP/1.1 {status} x", *fields, *length]
                writer.write(("\r\n".join(lines) + f"\r\n\r\n{body}").encode())
                await writer.drain()
        del self._serving[task]
        writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> Got:
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return Got(line, headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def receiving(answers: Callable[[int, Got], str] = lambda _n, _got: OK) -> AsyncIterator[Receiver]:
    """A running receiver."""
    receiver = Receiver(answers)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


def endpoint(url: str = "http://127.0.0.1:9/", **changes: Any) -> Webhook:
    """A plausible endpoint."""
    values: dict[str, Any] = {"name": "crm", "url": url, "secrets": [SECRET], "allow_internal": True, "timeout": "2s",
                              "parallel": 4}  # fmt: skip
    return Webhook(**(values | changes))
