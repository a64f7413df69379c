"""Finishing: the outcome's row is stored, then a report, then a deferral's schedule, then the entry goes.

Always in that order. Rows of 5 ms or less share one message of EVENTS. Whatever the broker does meanwhile, an
outcome is repeated until it is stored; until then ``clear`` is not set, and the worker begins nothing new.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from common import metrics
from common.broker import Broker, BrokerError, BrokerFailure, Message
from common.content import SCHEDULED_INLINE_LIMIT, BodyRef
from common.counting import count, took
from common.entry import Entry
from common.event import Event, Type
from common.queue import reports
from common.queue.bodies import Bodies
from common.queue.hold import aside, aside_row
from common.queue.rows import message as rows_message
from common.queue.schedule import scheduled
from common.queue.take import GoneError, Taker
from common.queue.taken import Copy, Taken
from common.subjects import HELD, as_kind, queue_stream

log = structlog.get_logger()

T = TypeVar("T")

#: Seconds and outcomes that share one message of rows.
GATHER, GATHER_MOST = 0.005, 200
#: Deferrals at a time whose content may move to BODY: until the entry is acked it is in the store twice.
MOVES = 16
#: What Postfix calls reports on outcomes of other types than failures.
_NOTIFICATIONS = {Type.DELIVERED: "delivery status", Type.DEFERRED: "delay"}


@dataclass(eq=False)
class _Outcome:
    taken: Taken
    row: Event
    later: Entry | None
    """What to schedule, for a deferral."""
    at: float
    report: Entry | None
    """Tells the sender what became of the delivery."""
    also: Callable[[], Awaitable[object]] | None
    """What else has to be stored before the entry goes; it may be done again."""
    done: asyncio.Future[None]


class Finisher:
    """Ends what a worker took."""

    def __init__(self, broker: Broker, pool: str, taker: Taker) -> None:
        self.broker, self.pool, self.taker = broker, pool, taker
        self.bodies = Bodies(broker, pool)
        self.stream = queue_stream(pool)
        self._gathered: list[_Outcome] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[object]] = set()
        self._blocked = 0
        self._moves = asyncio.Semaphore(MOVES)
        self.may_be_held: Callable[[Entry], bool] = lambda entry: False
        """Whether there may be a held copy of an entry in our hands (``controls``), which goes with it."""
        self.clear = asyncio.Event()
        """Not set while an outcome could not be stored: begin nothing new."""
        self.clear.set()

    # --- verbs ---

    async def done(
        self, taken: Taken, row: Event, report: Entry | None = None, also: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """The delivery has ended (delivered, bounced, expired); returns when that is stored and the entry gone.

        ``report`` tells its sender; see ``reports``. ``also`` is what its end leads to: between row and entry, repeated
        until the broker does it.
        """
        await self._gather(taken, row, None, 0, report, also)

    async def defer(
        self, taken: Taken, row: Event, later: Entry, at: float, report: Entry | None = None
    ) -> None:
        """Try again at a time (seconds since 1970) with ``later``, the entry as changed by this attempt.

        ``report`` tells the sender of the delay.
        """
        await self._gather(taken, row, later, at, report)

    async def drop(self, taken: Taken) -> None:
        """An old copy: what it stands for is scheduled, reported or finished already."""
        count(metrics.QUEUE_DROPPED, self.pool)
        self.taker.finished(taken)
        if report := await reports.find(self.broker, taken.entry):
            await self._surely(reports.accepted(report))  # whoever stored it may have died before this
        await self._remove(taken.copies)
        await self._release(taken.entry)

    async def hold(self, subject: str, sequence: int, body: bytes, reason: str, word: str = "unreadable") -> None:
        """Set an entry aside that cannot be worked on, until a person looks at it. Nothing is lost."""
        row = aside_row(self.pool, subject, sequence, body, word, reason)
        log.error("queue: %s is held: %s", row.delivery, reason)
        count(metrics.QUEUE_HELD, self.pool, word)
        await self._surely(rows_message(self.pool, [row]))
        await self._surely(aside(subject, sequence, body, reason))
        await self._remove_surely(sequence)

    async def hold_taken(self, taken: Taken, reason: str, word: str = "unreadable") -> None:
        """``hold`` for an entry that was taken, as it lies in the queue."""
        stored = await self.broker.at(self.stream, taken.sequence)
        if stored:
            await self.hold(taken.subject, taken.sequence, stored.body, reason, word)
        self.taker.finished(taken)

    def hold_soon(self, subject: str, sequence: int, body: bytes, reason: str) -> None:
        """``hold`` in the background; a crash before it is through finds the entry where it was."""
        self._spawn(self.hold(subject, sequence, body, reason))

    def tell(self, row: Event) -> None:
        """Store a row that is of no entry, in the background."""
        self._spawn(self._surely(rows_message(self.pool, [row])))

    async def flush(self) -> None:
        """Wait until everything gathered is finished."""
        while self._gathered or self._running:
            if self._gathered:
                self._go()
            await asyncio.wait(list(self._running))

    # --- how ---

    async def _gather(
        self, taken: Taken, row: Event, later: Entry | None, at: float, report: Entry | None = None,
        also: Callable[[], Awaitable[object]] | None = None,
    ) -> None:  # fmt: skip
        outcome = _Outcome(taken, row, later, at, report, also, asyncio.get_running_loop().create_future())
        self._gathered.append(outcome)
        if len(self._gathered) >= GATHER_MOST:
            self._go()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._go)
        await outcome.done

    def _go(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        outcomes, self._gathered = self._gathered, []
        if outcomes:
            self._spawn(self._finish(outcomes))

    def _spawn(self, coroutine: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _finish(self, outcomes: list[_Outcome]) -> None:
        rows, started = [outcome.row for outcome in outcomes], time.monotonic()
        try:
            await self._surely(rows_message(self.pool, rows))
        except Exception as error:
            for outcome in outcomes:
                self._fail(outcome, error)
            return
        await asyncio.gather(*(self._end(outcome) for outcome in outcomes))
        took(metrics.QUEUE_FINISH_SECONDS, time.monotonic() - started, self.pool)

    async def _end(self, outcome: _Outcome) -> None:
        if outcome.later is None or outcome.later.size <= SCHEDULED_INLINE_LIMIT:
            await self._end_now(outcome)
        else:
            async with self._moves:
                await self._end_now(outcome)

    async def _end_now(self, outcome: _Outcome) -> None:
        taken, scheduled_at = outcome.taken, 0
        try:
            if outcome.also:
                await self._until_done(outcome.also)
            if outcome.report is not None:
                await self._report(outcome.row, outcome.report)
            if outcome.later is not None:  # which knows of the report: after a crash before this it is made again
                scheduled_at = await self._schedule(taken, outcome.later, outcome.at)
            await self._remove(taken.copies)
            if self.may_be_held(taken.entry):  # a copy of what is scheduled now is no copy of this
                held = as_kind(HELD, taken.subject)
                await self._until_done(lambda: self.broker.purge(self.stream, held, before=scheduled_at))
            self.taker.finished(taken)
            if outcome.later is None:
                await self._release(taken.entry)
        except Exception as error:
            self._fail(outcome, error)
        if not outcome.done.done():
            outcome.done.set_result(None)

    def _fail(self, outcome: _Outcome, error: Exception) -> None:
        """A mistake of ours: the entry is left to be handed out again, its worker is told."""
        self.taker.finished(outcome.taken)
        if not outcome.done.done():
            outcome.done.set_exception(error)

    async def _report(self, row: Event, report: Entry) -> None:
        """The report's entry, then the row that tells of it: a row never speaks of mail that is not there."""
        await self._surely(reports.stored(report))
        await self._surely(reports.accepted(report))
        what = _NOTIFICATIONS.get(row.type, "non-delivery")
        log.info("%s: sender %s notification: %s", report.meta[reports.ABOUT], what, report.submission)

    async def _schedule(self, taken: Taken, later: Entry, at: float) -> int:
        """From here on the broker hands it out again, when it is due; the sequence of that, 0 where it has gone."""
        taken.deferring = True
        if later.content is None:
            try:
                await self._until_done(lambda: self.taker.content(taken))
            except GoneError:
                return 0
            later = later.but(content=taken.entry.content)
        if isinstance(later.content, bytes) and len(later.content) > SCHEDULED_INLINE_LIMIT:
            content = later.content
            later = later.but(content=await self._until_done(lambda: self.bodies.put(later.submission, content)))
        identifier = f"{later.id}.{later.attempts}.{at:.3f}"
        sequence = await self._surely(scheduled(taken.subject, later.pack(), identifier, at))
        self.taker.finished(taken)
        return sequence

    async def _surely(self, message: Message) -> int:
        """Store a message however often that takes; its Nats-Msg-Id, or a guard, keeps a repeat from counting twice.

        Its sequence; 0 where the guard said that it is there.
        """

        async def put() -> int:
            try:
                return await self.broker.put(message)
            except BrokerError as error:
                if error.code not in BrokerError.WRONG_SEQUENCE:  # else guarded, and there already
                    raise
            return 0

        return await self._until_done(put)

    async def _until_done(self, action: Callable[[], Awaitable[T]]) -> T:
        """Repeat what the broker does not do; until it has, nothing new is begun. Said once for all that wait."""
        blocked = False
        try:
            while True:
                try:
                    return await action()
                except BrokerFailure as error:
                    if not blocked:
                        blocked = True
                        self._block(error)
                    count(metrics.QUEUE_REPEATS, self.pool)
                    await asyncio.sleep(1)
        finally:
            if blocked:
                self._unblock()

    def _block(self, error: BrokerFailure) -> None:
        if not self._blocked:
            log.warning("queue: outcomes cannot be stored yet: %s; nothing new is begun until they are", error)
        self._blocked += 1
        self.clear.clear()

    def _unblock(self) -> None:
        self._blocked -= 1
        if not self._blocked:
            log.info("queue: outcomes are stored again")
            self.clear.set()

    async def _remove(self, copies: list[Copy]) -> None:
        """Remove an entry from the queue, every copy that was handed out of it."""
        for copy in copies:  # which may grow meanwhile
            await self._remove_copy(copy)

    async def _remove_copy(self, copy: Copy) -> None:
        """Ack and wait for the answer; through a consumer that is gone, acks are answered but remove nothing."""
        if self.taker.is_read(copy):
            with contextlib.suppress(BrokerFailure):
                await self.broker.request(copy.reply, b"+ACK", timeout=2.0)
                return
        await self._remove_surely(copy.sequence)

    async def _remove_surely(self, sequence: int) -> None:
        await self._until_done(lambda: self.broker.remove(self.stream, sequence))

    async def _release(self, entry: Entry) -> None:
        """Remove shared content with the last entry; what fails here is left to the sweeper."""
        if isinstance(entry.content, BodyRef):
            try:
                await self.bodies.release(entry.submission)
            except BrokerFailure as error:
                log.debug("queue: content of %s left to the sweeper: %s", entry.submission, error)
