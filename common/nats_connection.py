"""The connection to NATS: kept up for ever, with one inbox of its own for all replies.

It makes a new client when nats-py closes one for good (any -ERR does that), and hands nothing to nats-py
that it would only keep for later.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import nats
import nats.errors
import structlog
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.nuid import NUID

from common.config import without_password

log = structlog.get_logger()

#: How long one try waits for its answer.
TRY_TIMEOUT = 5.0
#: What somebody who leaves waits for his answers, and then for the server to take what is unsent.
PARTING = 1.0

Handler = Callable[[Msg], Awaitable[None]]


class BrokerFailure(Exception):
    """A request to the broker came to nothing; what is known of its outcome is in the classes below."""


class NoBrokerError(BrokerFailure):
    """Nobody answers for the subject: JetStream is down. A known outcome, nothing was stored."""


class UnknownOutcomeError(BrokerFailure):
    """No answer: stored or not, nobody can tell yet."""


class _Client(Client):
    """nats-py's with four mends.

    It looks at each character of a header's name, which is half the cost of a message. It leaves a connection open
    that ended during the handshake of a reconnection. When it closes it waits without end for a server that stands
    still to take what is unsent. And its attempts to reconnect may survive that it is closed, for ever: in Python 3.11
    asyncio.wait_for swallows a cancellation that comes together with the end of what it waits for.
    """

    def abort(self) -> None:
        """Close the connection at once, whatever is unsent."""
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer:
            self._transport._io_writer.transport.abort()

    async def _select_next_server(self) -> None:
        if self._transport:
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._select_next_server()

    async def _connect_to_server(self, s: Srv) -> None:
        again = asyncio.current_task() is self._reconnection_task  # a first try that fails closes it too, and goes on
        if not (again and self.is_closed):
            await super()._connect_to_server(s)
        if again and self.is_closed:
            raise asyncio.CancelledError

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        lines = (line.partition(":") for line in raw.decode("utf-8", "replace").split("\r\n"))
        return {name: value.strip() for name, colon, value in lines if colon}

    async def send(self, frames: bytes) -> None:
        """What ``frame`` made, many at one go: nats-py takes as long for each as for all else that is done with it."""
        await self._send_command(frames)
        if self._flush_queue and self._flush_queue.empty():  # or who finds it full waits for a server that hangs
            await self._flush_pending()


class Connection:
    """A process's connection. ``on_connect`` callbacks run at every (re)connection, in order."""

    def __init__(self, url: str, *, name: str, user: str = "", password: str = "", credentials: str = "") -> None:
        self.options: dict[str, Any] = {"servers": url, "name": name, "reconnect_time_wait": 0.25}
        if user:
            self.options |= {"user": user, "password": password}
        if credentials:
            self.options["user_credentials"] = credentials
        self.on_connect: list[Callable[[], Awaitable[None]]] = []
        self._handlers: dict[str, Handler] = {}
        self._replies: dict[str, asyncio.Future[Msg]] = {}
        self._pages: dict[str, asyncio.Queue[Msg | None]] = {}
        self._numbers = itertools.count()
        self._closing = False
        self._lost: asyncio.Event = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.client = _Client()

    @property
    def clustered(self) -> bool:
        """Whether the server we are connected to is part of a cluster."""
        return bool(self.client._server_info.get("cluster"))

    # --- connection ---

    async def connect(self, timeout: float = 30.0) -> None:
        """Connect; nats-py tries again and again until ``timeout`` seconds have passed. Raises NoBrokerError."""
        try:
            async with asyncio.timeout(timeout):
                await self._new_client()
        except (OSError, nats.errors.Error, TimeoutError) as error:
            raise NoBrokerError(str(error) or type(error).__name__) from None
        self._spawn(self._supervise())
        for callback in self.on_connect:
            await callback()

    async def close(self) -> None:
        """Wait for outstanding answers, then until all is sent, ``PARTING`` seconds at most each, and close."""
        self._closing = True
        if outstanding := list(self._replies.values()):
            await asyncio.wait(outstanding, timeout=PARTING)
        for task in list(self._tasks):
            task.cancel()
        patience = asyncio.get_running_loop().call_later(PARTING, self.client.abort)
        with contextlib.suppress(OSError, nats.errors.Error):  # the server may be gone already
            await self.client.close()
        patience.cancel()

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call ``handler`` for every message on ``subject``, over every reconnection. It must not block."""
        self._handlers[subject] = handler
        await self.client.subscribe(subject, cb=handler)

    def new_inbox(self) -> str:
        """A subject stem of our own; subscribe to ``<stem>.*``."""
        return f"_INBOX.{NUID().next().decode()}"

    async def _new_client(self) -> None:
        self.client = _Client()
        await self.client.connect(
            **self.options,
            max_reconnect_attempts=-1,
            ping_interval=5,
            max_outstanding_pings=2,
            pending_size=32 * 2**20,
            flush_timeout=10,
            skip_subject_validation=True,
            reconnected_cb=self._on_reconnected,
            disconnected_cb=self._on_disconnected,
            closed_cb=self._on_closed,
            error_cb=self._on_error,
        )
        self._inbox = self.new_inbox()
        await self.client.subscribe(f"{self._inbox}.*", cb=self._on_reply)
        for subject, handler in self._handlers.items():
            await self.client.subscribe(subject, cb=handler)

    async def _on_disconnected(self) -> None:
        """What was asked over this connection will not be answered."""
        if not self._closing:
            url = without_password(self.options["servers"])
            log.warning("broker: connection to %s lost; trying again until it is back", url)
        for future in self._replies.values():
            _fail(future, UnknownOutcomeError("connection lost"))
        for page in self._pages.values():
            page.put_nowait(None)

    async def _on_reconnected(self) -> None:
        log.info("broker: connected again")
        self._spawn(self._run_callbacks())

    async def _on_closed(self) -> None:
        self._lost.set()

    async def _on_error(self, error: Exception) -> None:
        if not isinstance(error, OSError | nats.errors.UnexpectedEOF):  # the connection's own end is said by others
            log.warning("broker: %s", error or type(error).__name__)

    async def _run_callbacks(self) -> None:
        for callback in self.on_connect:
            await callback()

    async def _supervise(self) -> None:
        """A client that nats-py closed (any -ERR does that) is replaced by a new one."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            if self._closing:
                return
            if not self.client.is_closed:
                continue
            log.warning("broker: connection closed; making a new one")
            while True:
                try:
                    await self._new_client()
                    break
                except (OSError, nats.errors.Error, TimeoutError):
                    await asyncio.sleep(0.25)
            await self._on_reconnected()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check_connected(self) -> None:
        """Without a connection nats-py would keep what it is given, and send it when nobody wants it any more."""
        if not self.client.is_connected:
            raise NoBrokerError("not connected")

    # --- request and reply ---

    async def _on_reply(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        if (page := self._pages.get(token)) is not None:
            page.put_nowait(message)
        elif (future := self._replies.pop(token, None)) is not None and not future.done():
            future.set_result(message)

    async def publish(self, subject: str, body: bytes, reply: str = "") -> None:
        """Publish without an answer. Raises NoBrokerError, UnknownOutcomeError."""
        self._check_connected()
        try:
            await self.client.publish(subject, body, reply=reply)
        except (nats.errors.Error, OSError) as error:
            raise UnknownOutcomeError(str(error)) from error

    async def request(
        self, subject: str, body: bytes = b"", headers: dict[str, str] | None = None, timeout: float = TRY_TIMEOUT
    ) -> Msg:
        """One request, one answer. Raises NoBrokerError, UnknownOutcomeError; ValueError when too large."""
        self._check_connected()
        size = len(body) + (sum(len(k) + len(v) + 4 for k, v in headers.items()) if headers else 0)
        if size + 64 > self.client.max_payload:
            # The server would answer -ERR and nats-py close the client for good.
            raise ValueError(f"{subject}: {size} bytes are over the broker's max_payload {self.client.max_payload}")
        token = str(next(self._numbers))
        loop = asyncio.get_running_loop()
        future = self._replies[token] = loop.create_future()
        silence = UnknownOutcomeError(f"{subject}: no answer within {timeout:g} s")
        patience = loop.call_later(timeout, _fail, future, silence)  # a fourth of what asyncio.timeout costs
        try:
            await self.client.publish(subject, body, reply=f"{self._inbox}.{token}", headers=headers)
            message: Msg = await future
        except (nats.errors.Error, OSError) as error:
            raise UnknownOutcomeError(f"{subject}: {error or type(error).__name__}") from error
        finally:
            patience.cancel()
            self._replies.pop(token, None)
        if not message.data and message.headers and message.headers.get("Status") == "503":
            raise NoBrokerError(f"{subject}: no responders")
        return message

    async def replies(self, subject: str, body: bytes, timeout: float = TRY_TIMEOUT) -> AsyncGenerator[Msg, None]:
        """One request, answer after answer until the caller has enough. Raises NoBrokerError, UnknownOutcomeError."""
        self._check_connected()
        token = f"p{next(self._numbers)}"
        queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._pages[token] = queue
        try:
            async with asyncio.timeout(timeout):
                await self.client.publish(subject, body, reply=f"{self._inbox}.{token}")
                while message := await queue.get():
                    yield message
        except TimeoutError:
            raise UnknownOutcomeError(f"{subject}: no end of answers within {timeout:g} s") from None
        except (nats.errors.Error, OSError) as error:
            raise UnknownOutcomeError(f"{subject}: {error}") from error
        finally:
            del self._pages[token]
        raise UnknownOutcomeError(f"{subject}: connection lost")


def frame(subject: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A message as it goes over the wire. Raises ValueError where a header has a line break."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"NATS/1.0\r\n{''.join(lines)}\r\n".encode()
    if head.count(b"\n") != len(lines) + 2 or head.count(b"\r") != len(lines) + 2:
        raise ValueError(f"{subject}: a header has a line break")
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (subject.encode(), len(head), len(head) + len(body), head, body)


def _fail(future: asyncio.Future[Msg], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
