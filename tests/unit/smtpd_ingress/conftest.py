"""A running ingress on a random port, with a queue that only remembers."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
import uvloop
from tls_support import client_context, write_certificate

from common.config import Config
from common.content import load
from common.entry import Entry
from common.event import Event
from common.listener import Listener
from common.users.user import User
from common.users.users import Users
from smtpd_ingress import context
from smtpd_ingress.logins import Logins
from smtpd_ingress.memory import Memory
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.role import run

HOSTNAME = "mta1.example.net"


@dataclass
class Queued:
    """What ``submit`` was called with."""

    entries: list[Entry]
    content: bytes
    row: Event


@dataclass
class Client:
    """The other end: sends bytes, reads replies."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def line(self) -> str:
        """One reply line without its CRLF; ``""`` when the connection is closed."""
        return (await asyncio.wait_for(self.reader.readline(), 10)).decode().removesuffix("\r\n")

    async def reply(self) -> str:
        """One reply, its lines joined by LF."""
        lines = [await self.line()]
        while lines[-1][3:4] == "-":
            lines.append(await self.line())
        return "\n".join(lines)

    async def until_closed(self) -> AsyncIterator[str]:
        while line := await self.line():
            yield line

    async def say(self, text: str) -> str:
        """A command and its reply."""
        self.write(text.encode() + b"\r\n")
        return await self.reply()

    async def say_all(self, *texts: str) -> list[str]:
        return [await self.say(text) for text in texts]

    async def start_tls(self, context: ssl.SSLContext | None = None) -> None:
        """Shake hands; who the server is does not matter unless a context says so."""
        await self.writer.start_tls(context or client_context(), server_hostname=HOSTNAME)

    async def into_data(self, recipient: str = "b@example.com") -> None:
        """Up to the 354."""
        await self.reply()
        await self.say_all("EHLO c.example", "MAIL FROM:<a@example.org>", f"RCPT TO:<{recipient}>")
        assert (await self.say("DATA")).startswith("354")


@dataclass
class Ingress:
    """The role at work."""

    port: int
    stopping: asyncio.Event
    task: asyncio.Task[None]
    queued: list[Queued] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    before_submit: Callable[[], Any] | None = None
    """Awaited in ``submit``; may raise."""
    clients: list[Client] = field(default_factory=list)

    @classmethod
    async def start(cls, *, postmaster: str = "", users: Sequence[User] = (), **keys: Any) -> Self:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        config = Config(
            hostname=HOSTNAME, postmaster=postmaster, listeners=[Listener(name="relay", **keys)]
        )
        stopping = asyncio.Event()

        async def submit(entries: list[Entry], content: bytes, row: Event) -> None:
            if ingress.before_submit:
                await ingress.before_submit()
            ingress.queued.append(Queued(entries, load(content), row))

        def on_reject(rejection: Rejection) -> None:
            ingress.rejections.append(rejection)

        sock.listen()
        port = sock.getsockname()[1]
        logins = Logins(Users(users), config.logins)
        task = asyncio.create_task(run(config, submit, on_reject, stopping, {"relay": sock}, logins))
        ingress = cls(port, stopping, task)
        return ingress

    def hold_submit(self) -> tuple[asyncio.Event, asyncio.Event]:
        """``submit`` sets the first event, and goes on when the second is set."""
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            reached.set()
            await go_on.wait()

        self.before_submit = wait
        return reached, go_on

    async def connect(self, source: str = "127.0.0.1", **tls: Any) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0), **tls))
        self.clients.append(client)
        return client

    async def stop(self) -> None:
        for client in self.clients:
            client.writer.close()
        self.stopping.set()
        await asyncio.wait_for(self.task, 40)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test with a connection runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keys of a listener: a certificate for HOSTNAME."""
    return write_certificate(tmp_path_factory.mktemp("certificate"), HOSTNAME)


@pytest.fixture
async def start_ingress() -> AsyncIterator[Callable[..., Any]]:
    """``await start_ingress(max_recipients=2)``: an ingress with those listener keys, stopped at the end."""
    started: list[Ingress] = []

    async def start(**keys: Any) -> Ingress:
        started.append(await Ingress.start(**keys))
        return started[-1]

    yield start
    for ingress in started:
        await ingress.stop()


@pytest.fixture
def memories(monkeypatch: pytest.MonkeyPatch) -> list[Memory]:
    """The ``Memory`` of each listener that is started."""
    made: list[Memory] = []

    class Kept(Memory):
        def __init__(self, limit: int) -> None:
            super().__init__(limit)
            made.append(self)

    monkeypatch.setattr(context, "Memory", Kept)
    return made
