"""Reading the queue of feedback: handed out to one process at a time, removed when all of it is stored.

One consumer for all processes: nothing here depends on who gets what. What a dead one had is handed out again when it
is started again, or after ACK_WAIT. Whatever is done twice is the same the second time, for all its ids come from the
entry.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from nats.aio.msg import Msg

from common import metrics
from common.broker import Broker, BrokerError, BrokerFailure, Message
from common.content import BodyRef
from common.counting import count
from common.entry import FEEDBACK_POOL, Entry, UnreadableError
from common.queue import leases
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

    def __init__(self, broker: Broker, holder: str) -> None:
        """``holder`` names this process over restarts."""
        self.broker, self._bodies, self._holder = broker, Bodies(broker, FEEDBACK_POOL), holder
        self._held: dict[int, Letter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(ROOM)
        self._answers, self._pulls = broker.new_inbox(), 0
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()

    async def start(self) -> None:
        """Open the subject that pulls are answered to. Raises BrokerFailure.

        Who is alone makes the consumer anew, so that what a dead one had is handed out at once.
        """
        if not set((await leases.live(self.broker, leases.FEEDBACK)).values()) - {self._holder}:
            try:
                await self.broker.api(f"CONSUMER.DELETE.{_STREAM}.{_CONSUMER}")
            except BrokerError as error:
                if error.code not in BrokerError.NOT_FOUND:
                    raise
        await self.broker.subscribe(f"{self._answers}.*", self._arrived.put)
        self.broker.on_connect.append(self._look_again)

    async def run(self, handle: Handle) -> None:
        """Hand every mail to ``handle``, for ever."""
        alive = asyncio.create_task(self._signs_of_life())
        try:
            while True:
                try:
                    since = await self._ensure()
                    await self._pull(since, handle)
                except BrokerFailure as error:
                    tell = log.warning if isinstance(error, BrokerError) else log.debug  # others are told of by Broker
                    tell("feedback: %s; trying again", error)
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
            "name": _CONSUMER, "durable_name": _CONSUMER, "filter_subjects": [f"{READY}.{FEEDBACK_POOL}.>"],
            "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant", "max_deliver": -1,
            "ack_wait": int(ACK_WAIT * 1e9), "max_ack_pending": 10 * ROOM, "mem_storage": True, "num_replicas": 1,
        }  # fmt: skip
        definition = {"stream_name": _STREAM, "config": config}
        made = await self.broker.api(f"CONSUMER.CREATE.{_STREAM}.{_CONSUMER}", definition)
        return datetime.fromisoformat(made["created"]).timestamp() + 0.001

    async def _pull(self, since: float, handle: Handle) -> None:
        """Take as many as there is room for; returns when they have come, or no more do. Raises BrokerFailure."""
        await self._room.acquire()
        batch = 1
        while batch < ROOM and not self._room.locked():
            await self._room.acquire()
            batch += 1
        self._pulls += 1
        answers = f"{self._answers}.{self._pulls}"
        request = json.dumps({"batch": batch, "expires": int(PULL * 1e9)}).encode()
        try:
            await self.broker.publish(f"$JS.API.CONSUMER.MSG.NEXT.{_STREAM}.{_CONSUMER}", request, reply=answers)
            async with asyncio.timeout(PULL + 5):
                while batch and (message := await self._arrived.get()):
                    if message.reply:
                        self._take(message, since, handle)
                        batch -= 1
                    elif message.subject == answers:  # the end of the pull, not of one that we gave up
                        return
        except TimeoutError:
            pass
        finally:
            for _ in range(batch):
                self._room.release()

    async def _look_again(self) -> None:
        """What was asked for over the old connection does not come."""
        await self._arrived.put(None)

    def _take(self, message: Msg, since: float, handle: Handle) -> None:
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
