"""The connection to NATS: requests, stored publishes, atomic batches, pages of a stream.

One ``Broker`` lasts as long as its process: it reconnects for ever, and makes a new client when nats-py
closes one for good (research/nats.md section 9). All replies come to one inbox of its own.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.nuid import NUID

log = structlog.get_logger()

#: How long one try waits for its answer.
TRY_TIMEOUT = 5.0
#: Room in max_payload for what nats-server adds.
HEADER_RESERVE = 64 * 1024

Handler = Callable[[Msg], Awaitable[None]]


class BrokerError(Exception):
    """JetStream refused: a known outcome, nothing was stored. ``code`` is its err_code."""

    #: Codes that say the store is full: 10002, 10023 resources, 10047 storage, 10077 stream limits.
    FULL = frozenset({10002, 10023, 10047, 10077})
    NOT_FOUND = frozenset({10014, 10037, 10059})
    WRONG_SEQUENCE = frozenset({10071, 10164})
    DUPLICATE_IN_BATCH = 10201
    BATCH_INCOMPLETE = 10176
    NO_MESSAGE = 10057

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code

    @property
    def full(self) -> bool:
        """Whether there is no room for it."""
        return self.code in self.FULL


class NoBrokerError(Exception):
    """Nobody answers for the subject: JetStream is down. A known outcome, nothing was stored."""


class UnknownOutcomeError(Exception):
    """No answer: stored or not, nobody can tell yet."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be stored. ``headers`` hold a Nats-Msg-Id where a repeat must be recognised."""

    subject: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a stream."""

    subject: str
    sequence: int
    body: bytes
    headers: dict[str, str]
    time: str
    """RFC 3339, as the server says it."""


def with_id(subject: str, body: bytes, identifier: str, **headers: str) -> Message:
    """A message that a repeat within the duplicate window does not store twice."""
    return Message(subject, body, {"Nats-Msg-Id": identifier, **headers})


class Broker:
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
        self.client = Client()

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
        """Wait for outstanding answers (a second at most), then close."""
        self._closing = True
        if outstanding := list(self._replies.values()):
            await asyncio.wait(outstanding, timeout=1.0)
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(OSError, nats.errors.Error):  # the server may be gone already
            await self.client.close()

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call ``handler`` for every message on ``subject``, over every reconnection. It must not block."""
        self._handlers[subject] = handler
        await self.client.subscribe(subject, cb=handler)

    def new_inbox(self) -> str:
        """A subject stem of our own; subscribe to ``<stem>.*``."""
        return f"_INBOX.{NUID().next().decode()}"

    async def _new_client(self) -> None:
        self.client = Client()
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
        for future in self._replies.values():
            if not future.done():
                future.set_exception(UnknownOutcomeError("connection lost"))
        for page in self._pages.values():
            page.put_nowait(None)

    async def _on_reconnected(self) -> None:
        log.info("broker: connected again")
        self._spawn(self._run_callbacks())

    async def _on_closed(self) -> None:
        self._lost.set()

    async def _on_error(self, error: Exception) -> None:
        if not isinstance(error, OSError):  # the connection's own end is said by others
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
        future = self._replies[token] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self.client.publish(subject, body, reply=f"{self._inbox}.{token}", headers=headers)
                message: Msg = await future
        except TimeoutError:
            raise UnknownOutcomeError(f"{subject}: no answer within {timeout:g} s") from None
        except (nats.errors.Error, OSError) as error:
            raise UnknownOutcomeError(f"{subject}: {error or type(error).__name__}") from error
        finally:
            self._replies.pop(token, None)
        if not message.data and message.headers and message.headers.get("Status") == "503":
            raise NoBrokerError(f"{subject}: no responders")
        return message

    async def api(self, verb: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request to ``$JS.API.<verb>``; the answer's object. Raises BrokerError and what request raises."""
        body = json.dumps(payload).encode() if payload is not None else b""
        return _answer((await self.request(f"$JS.API.{verb}", body)).data)

    # --- storing ---

    async def put(self, message: Message, timeout: float = TRY_TIMEOUT) -> int:
        """Publish to a stream, one try; its sequence. Raises BrokerError and what request raises."""
        reply = await self.request(message.subject, message.body, message.headers or None, timeout)
        return int(_answer(reply.data)["seq"])

    async def put_batch(self, messages: list[Message], timeout: float = 2 * TRY_TIMEOUT) -> None:
        """Store all of them or none (ADR-50), one try. Raises BrokerError and what request raises."""
        self._check_connected()
        batch = NUID().next().decode()
        *first, last = [
            (m.subject, m.body, {**m.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(i)})
            for i, m in enumerate(messages, 1)
        ]
        try:
            for subject, body, headers in first:
                await self.client.publish(subject, body, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise NoBrokerError(f"batch not sent: {error}") from error  # without its commit nothing is stored
        subject, body, headers = last
        reply = await self.request(subject, body, {**headers, "Nats-Batch-Commit": "1"}, timeout)
        _answer(reply.data)

    async def store(self, messages: list[Message], *, known: float = 10.0, unknown: float = 60.0) -> None:
        """Store one message, or all of several in one atomic step, whatever the connection does meanwhile.

        A refusal for want of JetStream is tried again for ``known`` seconds. After an unknown outcome the
        same messages are repeated, unchanged, for ``unknown`` seconds; their Nats-Msg-Id tells the broker.
        Raises BrokerError or NoBrokerError (nothing is stored), UnknownOutcomeError.
        """
        started = time.monotonic()
        maybe_stored = False
        while True:
            try:
                if len(messages) == 1:
                    await self.put(messages[0])
                else:
                    await self.put_batch(messages)
                return
            except BrokerError as error:
                if error.code == BrokerError.DUPLICATE_IN_BATCH:
                    return  # an earlier try was stored
                if error.code != BrokerError.BATCH_INCOMPLETE and not maybe_stored:
                    raise
                failure: Exception = error
            except NoBrokerError as error:
                failure = error
            except UnknownOutcomeError as error:
                failure, maybe_stored = error, True
            if time.monotonic() - started > (unknown if maybe_stored else known):
                raise UnknownOutcomeError(str(failure)) if maybe_stored else failure
            await asyncio.sleep(0.2)

    # --- reading ---

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last message on a subject, or None."""
        return _stored(await self.request(f"$JS.API.DIRECT.GET.{stream}.{subject}"))

    async def at(self, stream: str, sequence: int) -> Stored | None:
        """The message with a sequence, or None."""
        return _stored(await self.request(f"$JS.API.DIRECT.GET.{stream}", json.dumps({"seq": sequence}).encode()))

    async def page(self, stream: str, query: dict[str, Any], timeout: float = TRY_TIMEOUT) -> list[Stored]:
        """The messages a batched direct get gives (ADR-31): ``{"seq", "batch", "next_by_subj" …}``."""
        token = f"p{next(self._numbers)}"
        queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._pages[token] = queue
        found: list[Stored] = []
        self._check_connected()
        try:
            async with asyncio.timeout(timeout):
                await self.client.publish(
                    f"$JS.API.DIRECT.GET.{stream}", json.dumps(query).encode(), reply=f"{self._inbox}.{token}"
                )
                while message := await queue.get():
                    if (stored := _stored(message)) is None:
                        return found
                    found.append(stored)
        except TimeoutError:
            raise UnknownOutcomeError(f"{stream}: no page within {timeout:g} s") from None
        except (nats.errors.Error, OSError) as error:
            raise UnknownOutcomeError(f"{stream}: {error}") from error
        finally:
            del self._pages[token]
        raise UnknownOutcomeError(f"{stream}: connection lost")

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove a message by its sequence; one that is gone already is fine."""
        try:
            await self.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
        except BrokerError as error:
            if error.code not in (BrokerError.NO_MESSAGE, *BrokerError.NOT_FOUND) and "not found" not in str(error):
                raise

    async def purge(self, stream: str, filter_: str) -> int:
        """Remove every message on the subjects; how many."""
        return int((await self.api(f"STREAM.PURGE.{stream}", {"filter": filter_}))["purged"])

    async def subjects(self, stream: str, filter_: str) -> dict[str, int]:
        """The subjects of a stream that match, with their message counts, in one consistent look."""
        found: dict[str, int] = {}
        while True:
            info = await self.api(f"STREAM.INFO.{stream}", {"subjects_filter": filter_, "offset": len(found)})
            page: dict[str, int] = info["state"].get("subjects") or {}
            found |= page
            if not page or len(found) >= info.get("total", 0):
                return found


def _answer(data: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(data)
    if error := answer.get("error"):
        if error.get("err_code") in (10039, 10076, 10008):  # JetStream not enabled (for account), or not ready
            raise NoBrokerError(error.get("description", ""))
        raise BrokerError(int(error.get("err_code", 0)), error.get("description", ""))
    return answer


def _stored(message: Msg) -> Stored | None:
    headers: dict[str, str] = message.headers or {}
    if "Nats-Sequence" not in headers:
        status = headers.get("Status", "")
        if status in ("204", "404"):  # end of page, not there
            return None
        if status == "503":
            raise NoBrokerError("direct get: no responders")
        raise BrokerError(int(status or 0), headers.get("Description", "direct get refused"))
    own = {
        name: value
        for name, value in headers.items()
        if name not in ("Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending")
    }
    return Stored(
        headers["Nats-Subject"], int(headers["Nats-Sequence"]), message.data, own, headers["Nats-Time-Stamp"]
    )
