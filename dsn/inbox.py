"""Reading the queue of feedback: handed out to one process at a time, removed when all of it is stored.

One consumer for all processes: nothing here depends on who gets what. What a dead one had is handed out again after
ACK_WAIT; whatever is done twice is the same the second time, for all its ids come from the entry.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from nats.aio.msg import Msg

from common import metrics
from common.broker import Broker, BrokerError, BrokerFailure, Message
from common.content import BodyRef
from common.counting import count
from common.entry import FEEDBACK_POOL, Entry, UnreadableError
from common.queue.bodies import Bodies
from common.queue.hold import aside, aside_row
from common.queue.rows import message as rows_message
from common.subjects import READY, queue_stream

log = structlog.get_logger()

#: Mails in hand at the same time, seconds until one is handed to somebody else, and between signs of life.
ROOM, ACK_WAIT, SIGN_OF_LIFE = 64, 10.0, 3.0
#: Seconds that a pull waits for mail, and until what did not work is tried again.
PULL, RETRY = 30.0, 1.0
_STREAM, _CONSUMER = queue_stream(FEEDBACK_POOL), "dsn"


@dataclass(slots=True)
class Letter:
    """A mail that came back, as it was handed out."""

    entry: Entry
    subject: str
    sequence: int
    reply: str
    """Where it is acked; the latest, where it was handed out again."""
    maybe_seen: bool
    """Somebody may have told of it already."""


Handle = Callable[[Letter], Awaitable[None]]
"""Returns when all is stored that there is to be. Raises BrokerFailure, NotNowError: tried when handed out again."""


class NotNowError(Exception):
    """Something has to wait."""


class Inbox:
    """The feedback that one process has in hand."""

    def __init__(self, broker: Broker) -> None:
        self.broker, self._bodies = broker, Bodies(broker, FEEDBACK_POOL)
        self._held: dict[int, Letter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(ROOM)

    async def run(self, handle: Handle) -> None:
        """Hand every mail to ``handle``, for ever."""
        alive = asyncio.create_task(self._signs_of_life())
        try:
            while True:
                try:
                    since = await self._ensure()
                    async for message in self._messages():
                        await self._take(message, since, handle)
                except BrokerFailure as error:
                    log.debug("feedback: %s", error)
                    await asyncio.sleep(RETRY)
        finally:
            alive.cancel()

    async def drain(self, timeout: float) -> None:
        """Wait (seconds) for what is in hand; the rest is handed out again."""
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=timeout)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def hold(self, letter: Letter, reason: str, word: str) -> None:
        """Set a mail aside that cannot be worked on; ``Finisher.hold`` for what no worker took."""
        stored = await self.broker.at(_STREAM, letter.sequence)
        if stored:
            await self._hold(letter.subject, letter.sequence, stored.body, reason, word)

    async def _hold(self, subject: str, sequence: int, body: bytes, reason: str, word: str) -> None:
        row = aside_row(FEEDBACK_POOL, subject, sequence, body, word, reason)
        log.error("feedback: %s is held: %s", row.delivery, reason)
        count(metrics.QUEUE_HELD, FEEDBACK_POOL, word)
        await self.store(rows_message(FEEDBACK_POOL, [row]))
        await self.store(aside(subject, sequence, body, reason))
        await self.broker.remove(_STREAM, sequence)

    async def store(self, message: Message) -> None:
        """Store a message whose repeat is known, or guarded against. Raises what ``Broker.store`` raises."""
        try:
            await self.broker.store([message])
        except BrokerError as error:
            if error.code not in BrokerError.WRONG_SEQUENCE:  # else it is there
                raise

    # --- how ---

    async def _ensure(self) -> float:
        """Make the consumer where it is not there; what is older than it somebody may have had before."""
        config = {
            "durable_name": _CONSUMER, "filter_subject": f"{READY}.{FEEDBACK_POOL}.>", "ack_policy": "explicit",
            "deliver_policy": "all", "replay_policy": "instant", "ack_wait": int(ACK_WAIT * 1e9), "max_deliver": -1,
            "max_ack_pending": 10 * ROOM, "mem_storage": True, "num_replicas": 1,
        }  # fmt: skip
        definition = {"stream_name": _STREAM, "config": config}
        made = await self.broker.api(f"CONSUMER.CREATE.{_STREAM}.{_CONSUMER}", definition)
        return datetime.fromisoformat(made["created"]).timestamp() + 0.001

    async def _messages(self) -> AsyncIterator[Msg]:
        """What one pull brings: as many as there is room for. Raises BrokerFailure."""
        batch = 0
        while not batch or (batch < ROOM and not self._room.locked()):
            await self._room.acquire()
            batch += 1
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{_STREAM}.{_CONSUMER}"
        request = json.dumps({"batch": batch, "expires": int(PULL * 1e9)}).encode()
        try:
            async with contextlib.aclosing(self.broker.replies(subject, request, PULL + 5)) as answers:
                async for message in answers:
                    if not message.reply:  # the end of the pull
                        return
                    yield message
                    batch -= 1
                    if not batch:
                        return
        finally:
            for _ in range(batch):
                self._room.release()

    async def _take(self, message: Msg, since: float, handle: Handle) -> None:
        metadata = message.metadata
        sequence = metadata.sequence.stream
        if known := self._held.get(sequence):  # the broker was started again, or we were late
            known.reply = message.reply
            self._room.release()
            return
        maybe_seen = metadata.num_delivered > 1 or metadata.timestamp.timestamp() <= since
        task = asyncio.create_task(self._work(message, sequence, maybe_seen, handle))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()):
            log.error("feedback: %s", error, exc_info=error)

    async def _work(self, message: Msg, sequence: int, maybe_seen: bool, handle: Handle) -> None:
        try:
            try:
                entry = Entry.unpack(message.data)
            except UnreadableError as error:
                await self._hold(message.subject, sequence, message.data, str(error), "unreadable")
                return
            letter = self._held[sequence] = Letter(entry, message.subject, sequence, message.reply, maybe_seen)
            await handle(letter)
            await self._remove(letter)
            if isinstance(entry.content, BodyRef):  # what fails here is left to the sweeper
                await self._bodies.release(entry.submission)
        except (BrokerFailure, NotNowError) as error:
            log.warning("feedback: %s: %s; waits until it is handed out again", message.subject, error)
        finally:
            self._held.pop(sequence, None)

    async def _remove(self, letter: Letter) -> None:
        """Ack; through a consumer that is gone that removes nothing, and it is handed out once more."""
        await self.broker.request(letter.reply, b"+ACK", timeout=2.0)

    async def _signs_of_life(self) -> None:
        while True:
            await asyncio.sleep(SIGN_OF_LIFE)
            with contextlib.suppress(BrokerFailure):
                for letter in list(self._held.values()):
                    await self.broker.publish(letter.reply, b"+WPI")
