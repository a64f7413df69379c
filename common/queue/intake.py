"""Accepting: a submission is stored whole or not at all, and 250 means stored.

Group commit: while one step is on its way to the broker, everybody who arrives waits and goes together in
the next. When many went together, the next step gives them 2 ms to come back, or less when all are in
(docs/decisions/001-group-commit.md).
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from common import metrics
from common.broker import Broker, BrokerError, BrokerFailure, Message, NoBrokerError, UnknownOutcomeError, with_id
from common.content import INLINE_LIMIT, SCHEDULED_INLINE_LIMIT
from common.counting import took
from common.entry import FEEDBACK_POOL, Entry
from common.event import Event
from common.queue.bodies import Bodies
from common.queue.room import STRANGERS_PART, Room
from common.queue.rows import message as rows_message
from common.queue.schedule import scheduled
from common.subjects import READY, queue_stream, submission
from common.subjects import entry as entry_subject
from common.submit_error import SubmitError
from common.waits import wait

log = structlog.get_logger()

#: Messages and bytes of one atomic step: nats-server's default limit, and it holds a batch in memory.
STEP_MESSAGES, STEP_BYTES = 1000, 4 * 2**20
#: Up to this many single publishes cost fewer syncs than a batch, which always costs about seven.
SINGLES = 5
#: Seconds that a step waits for those who went together before.
GATHER = 0.002


@dataclass(eq=False)
class _Waiting:
    """A submission that waits for its step."""

    submission: str
    messages: list[Message]
    rows: Sequence[Event]
    in_body: int
    """Bytes of its content that are in BODY already."""
    since: float
    """When its client began to wait (``time.monotonic``)."""
    done: asyncio.Future[None]

    @property
    def bytes(self) -> int:
        return sum(len(message.body) for message in self.messages)

    def fail(self, error: SubmitError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Intake:
    """Takes submissions for one pool."""

    def __init__(self, broker: Broker, room: Room, pool: str = "default") -> None:
        self.broker, self.room, self.pool = broker, room, pool
        self.bodies = Bodies(broker, pool)
        self._waiting: list[_Waiting] = []
        self._step: asyncio.Task[None] | None = None
        self._expected = 1
        self._enough = asyncio.Event()
        self._cleaning: set[asyncio.Task[None]] = set()

    async def submit(self, entries: list[Entry], content: bytes, *rows: Event) -> None:
        """Store a submission: its entries, its content (stored form) and its rows, ``accepted`` and what belongs to it.

        Entries with a due time are stored as schedules, in the same step. Without entries, where all recipients are
        suppressed, the rows are all there is.
        Returns when all of it is stored. Raises SubmitError (452 full, 451 else): nothing of it will be
        delivered, but after an unknown outcome of 60 s, where a worker may have been quicker than the purge.
        """
        from_strangers = self.pool == FEEDBACK_POOL
        if not (self.room.has(len(content), STRANGERS_PART) if from_strangers else self.room.intake):
            raise SubmitError.full()
        submission_id, since = rows[0].submission, time.monotonic()
        limit = SCHEDULED_INLINE_LIMIT if entries and entries[0].due else INLINE_LIMIT
        in_body = len(content) if entries and (len(entries) > 1 or len(content) > limit) else 0
        try:
            placed = await self.bodies.put(submission_id, content, since) if in_body else content
            messages = [_message(entry.but(content=placed)) for entry in entries]
            loop = asyncio.get_running_loop()
            waiting = _Waiting(submission_id, messages, rows, in_body, since, loop.create_future())
            self._waiting.append(waiting)
            if len(self._waiting) >= self._expected:
                self._enough.set()
            if self._step is None or self._step.done():
                self._step = asyncio.create_task(self._steps())
            patience = loop.call_later(since + self.broker.known - time.monotonic(), self._give_up, waiting)
            try:
                await waiting.done
            finally:
                patience.cancel()
        except (SubmitError, BrokerFailure) as error:
            if in_body:
                self._clean(self.bodies.remove_surely(submission_id))
            raise _refusal(error) from error

    async def _steps(self) -> None:
        while self._waiting:
            await self._gather()
            step, started = self._next_step(), time.monotonic()
            try:
                await self._store(step)
            except Exception as error:
                log.exception("queue: step failed")
                self._refuse(step, error)
            took(metrics.QUEUE_STORE_SECONDS, time.monotonic() - started, self.pool)
            self._expected = len(step) + len(self._waiting)

    async def _gather(self) -> None:
        if self._expected > SINGLES and len(self._waiting) < self._expected:
            self._enough.clear()
            await wait(self._enough, GATHER)

    def _next_step(self) -> list[_Waiting]:
        """As many as one step may hold."""
        step: list[_Waiting] = []
        messages = size = 0
        while self._waiting:
            first = self._waiting[0]
            messages, size = messages + len(first.messages), size + first.bytes
            if step and (messages > STEP_MESSAGES or size > STEP_BYTES):
                break
            step.append(self._waiting.pop(0))
        return step

    def _give_up(self, waiting: _Waiting) -> None:
        """Not even sent yet: a refusal that is known."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.fail(SubmitError.unavailable())

    async def _store(self, step: list[_Waiting]) -> None:
        """Entries first, then their rows: a row must never speak of mail that is not there."""
        if len(step) <= SINGLES and all(len(waiting.messages) == 1 for waiting in step):
            groups = [[waiting] for waiting in step]
        else:
            groups = [step]
        outcomes = await asyncio.gather(*(self._store_entries(group) for group in groups))
        stored = [waiting for group, good in zip(groups, outcomes, strict=True) if good for waiting in group]
        if not stored:
            return
        rows = [row for waiting in stored for row in waiting.rows]
        message = rows_message(self.pool, rows)
        try:
            await self.broker.store([message], _since(stored))
        except BrokerFailure as error:
            self._refuse(stored, error)
        else:
            self.room.took(sum(waiting.bytes + waiting.in_body for waiting in stored), len(message.body))
            for waiting in stored:
                if not waiting.done.done():
                    waiting.done.set_result(None)

    async def _store_entries(self, group: list[_Waiting]) -> bool:
        messages = [message for waiting in group for message in waiting.messages]
        if not messages:  # all its recipients are suppressed
            return True
        try:
            await self.broker.store(messages, _since(group))
        except UnknownOutcomeError as error:
            self._refuse(group, error)
            return False
        except (BrokerError, NoBrokerError) as error:
            for waiting in group:
                waiting.fail(_refusal(error))
            return False
        return True

    def _refuse(self, group: list[_Waiting], error: Exception) -> None:
        """Refuse submissions whose entries are, or may be, in the queue: they are purged until confirmed."""
        for waiting in group:
            waiting.fail(_refusal(error))
            self._clean(self._purge_surely(waiting.submission))

    async def _purge_surely(self, submission_id: str) -> None:
        while True:
            try:
                await self.broker.purge(queue_stream(self.pool), submission(self.pool, submission_id))
                return
            except BrokerFailure:
                await asyncio.sleep(1)

    def _clean(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)


def _message(entry: Entry) -> Message:
    ready = entry_subject(READY, entry)
    if entry.due:
        return scheduled(ready, entry.pack(), entry.id, entry.due)
    return with_id(ready, entry.pack(), entry.id)


def _since(group: list[_Waiting]) -> float:
    """When the first of them began to wait: nobody waits for longer than promised."""
    return min(waiting.since for waiting in group)


def _refusal(error: Exception) -> SubmitError:
    if isinstance(error, SubmitError):
        return error
    if isinstance(error, BrokerError) and error.full:
        return SubmitError.full()
    if isinstance(error, UnknownOutcomeError):
        return SubmitError.unknown()
    return SubmitError.unavailable()
