"""The broker's verbs: store a message or a batch, read, list and remove, whatever the connection does meanwhile."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import nats.errors
from nats.aio.msg import Msg
from nats.nuid import NUID

from common.nats_connection import TRY_TIMEOUT, BrokerFailure, Connection, NoBrokerError, UnknownOutcomeError, frame

__all__ = [
    "Broker",
    "BrokerError",
    "BrokerFailure",
    "Message",
    "NoBrokerError",
    "Stored",
    "UnknownOutcomeError",
    "with_id",
]

#: Room in max_payload for what nats-server adds.
HEADER_RESERVE = 64 * 1024


class BrokerError(BrokerFailure):
    """JetStream refused: a known outcome, nothing was stored. ``code`` is its err_code."""

    #: Codes that say the store is full: 10002, 10023 resources, 10047 storage, 10077 stream limits.
    FULL = frozenset({10002, 10023, 10047, 10077})
    NOT_FOUND = frozenset({10014, 10037, 10059})
    WRONG_SEQUENCE = frozenset({10071, 10164})
    DUPLICATE_IN_BATCH = 10201
    BATCH_INCOMPLETE = 10176
    #: What is said of a message that is gone: 10043 between others, 10057 before the first or after the last.
    NO_MESSAGE = frozenset({10043, 10057})

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code

    @property
    def full(self) -> bool:
        """Whether there is no room for it."""
        return self.code in self.FULL


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be stored. ``headers`` hold a Nats-Msg-Id where a repeat must be recognised."""

    subject: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Stored(NamedTuple):
    """A message of a stream."""

    subject: str
    sequence: int
    body: bytes
    headers: dict[str, str]
    time: str
    """RFC 3339, as the server says it."""
    following: int = 0
    """How many more a page's query found behind it."""


def with_id(subject: str, body: bytes, identifier: str, **headers: str) -> Message:
    """A message that a repeat within the duplicate window does not store twice."""
    return Message(subject, body, {"Nats-Msg-Id": identifier, **headers})


class Broker(Connection):
    """A process's way to JetStream."""

    known, unknown = 10.0, 60.0
    """Seconds after which ``store`` tells a refusal that is known, and that the outcome stays unknown."""

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
        frames = [
            frame(m.subject, m.body, {**m.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(i)})
            for i, m in enumerate(messages[:-1], 1)
        ]
        if frames and (largest := max(map(len, frames))) > self.client.max_payload:
            # The server would answer -ERR and nats-py close the client for good.
            raise ValueError(f"{largest} bytes are over the broker's max_payload {self.client.max_payload}")
        try:
            await self.client.send(b"".join(frames))
        except (nats.errors.Error, OSError) as error:
            raise NoBrokerError(f"batch not sent: {error}") from error  # without its commit nothing is stored
        last = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(len(messages)), "Nats-Batch-Commit": "1"}
        reply = await self.request(messages[-1].subject, messages[-1].body, messages[-1].headers | last, timeout)
        _answer(reply.data)

    async def store(self, messages: list[Message], since: float | None = None) -> None:
        """Store one message, or all of several in one atomic step, whatever the connection does meanwhile.

        A refusal for want of JetStream is tried again for ``known`` seconds. After an unknown outcome the
        same messages are repeated, unchanged, for ``unknown`` seconds; their Nats-Msg-Id tells the broker.
        Both count from ``since`` (``time.monotonic``), by default from now; one try is always made.
        Raises BrokerError or NoBrokerError (nothing is stored), UnknownOutcomeError.
        """
        started = time.monotonic() if since is None else since
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
            if time.monotonic() - started > (self.unknown if maybe_stored else self.known):
                raise UnknownOutcomeError(str(failure)) if maybe_stored else failure
            await asyncio.sleep(0.2)

    # --- reading ---

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last message on a subject, or None."""
        return _stored(await self.request(f"$JS.API.DIRECT.GET.{stream}.{subject}"))

    async def at(self, stream: str, sequence: int) -> Stored | None:
        """The message with a sequence, or None."""
        return _stored(await self.request(f"$JS.API.DIRECT.GET.{stream}", json.dumps({"seq": sequence}).encode()))

    async def page(self, stream: str, query: dict[str, Any]) -> list[Stored]:
        """The messages a batched direct get gives (ADR-31): ``{"seq", "batch", "next_by_subj" …}``."""
        found: list[Stored] = []
        answers = self.replies(f"$JS.API.DIRECT.GET.{stream}", json.dumps(query).encode())
        async with contextlib.aclosing(answers):
            async for message in answers:
                if (stored := _stored(message)) is None:
                    break
                found.append(stored)
        return found

    async def remove(self, stream: str, sequence: int) -> None:
        """Remove a message by its sequence; one that is gone already is fine."""
        try:
            await self.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
        except BrokerError as error:
            if error.code not in BrokerError.NO_MESSAGE | BrokerError.NOT_FOUND:
                raise

    async def purge(self, stream: str, filter_: str, before: int = 0) -> int:
        """Remove every message on the subjects, or those that lie before a sequence; how many."""
        what = {"filter": filter_, **({"seq": before} if before else {})}
        return int((await self.api(f"STREAM.PURGE.{stream}", what))["purged"])

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
    headers.pop("Nats-Stream", None)
    subject, sequence = headers.pop("Nats-Subject"), int(headers.pop("Nats-Sequence"))
    time_, following = headers.pop("Nats-Time-Stamp"), int(headers.pop("Nats-Num-Pending", 0))
    return Stored(subject, sequence, message.data, headers, time_, following)  # what is left are its own
