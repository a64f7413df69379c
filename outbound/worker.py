"""The worker: takes entries, finds their site, delivers or parks them, and finishes what has an outcome."""

import asyncio
import contextlib
import time

import structlog

from common.broker import BrokerFailure
from common.content import CorruptError
from common.keys import BadKeyError
from common.queue.bodies import MissingError
from common.queue.finish import Finisher
from common.queue.strikes import PoisonError, Strikes
from common.queue.take import GoneError, Taker
from common.queue.taken import Taken
from outbound.budget import Budget
from outbound.failure import DeliveryFailure, temporary
from outbound.lobby import Lobby
from outbound.pace import PolicyOf, Way, pace
from outbound.park import Park, Turn
from outbound.prepare import Prepared, Preparer, UnsignedError
from outbound.record import Attempt
from outbound.reporter import Reporter
from outbound.retry import next_attempt
from outbound.routing import Route, Router
from outbound.seat import NotNowError
from outbound.site import Delivered
from outbound.sites import Sites
from outbound.smtp import Envelope

log = structlog.get_logger()

#: Entries being worked on at the same time: looked up in the queue, transferred (``park.MAX_SEATED``), finished.
MAX_HANDLED = 2000
#: Bytes of large messages in memory, and from which size a message counts as large.
MAX_LARGE_BYTES, LARGE = 256 * 2**20, 256 * 2**10


class Worker:
    """One worker of a pool. ``name`` stands in its events."""

    def __init__(
        self,
        name: str,
        policy_of: PolicyOf,
        taker: Taker,
        finisher: Finisher,
        preparer: Preparer,
        reporter: Reporter,
        router: Router,
        sites: Sites,
        strikes: Strikes,
    ) -> None:
        self.name, self._policy_of = name, policy_of
        self.taker, self.finisher, self.preparer, self.reporter = taker, finisher, preparer, reporter
        self.router, self.sites, self.strikes = router, sites, strikes
        self._tasks: set[asyncio.Task[None]] = set()
        self._memory = Budget(MAX_LARGE_BYTES, LARGE)
        self.park = Park(sites, taker.shed, self._spawn)
        self._room = asyncio.Event()
        self.lobby = Lobby(taker.shed, self._room.set)

    async def run(self) -> None:
        """Take and deliver, for ever."""
        while True:
            await self.finisher.clear.wait()
            while (crowded := self.lobby.is_full() or self.park.is_full()) or self._handled >= MAX_HANDLED:
                self._room.clear()
                if crowded:
                    self.taker.crowded()
                with contextlib.suppress(TimeoutError):  # entries that are dropped make room without a word
                    await asyncio.wait_for(self._room.wait(), 1)
            self._spawn(await self.taker.take())

    async def drain(self, timeout: float) -> None:
        """Wait (seconds) for what has begun; the broker hands everything else to somebody else."""
        self.park.clear()
        self.lobby.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    @property
    def _handled(self) -> int:
        return len(self._tasks) - self.lobby.waiting

    def levels(self) -> dict[str, int]:
        """How many entries are where."""
        active, parked = len(self._tasks), self.park.parked
        return {"active": active, "parked": parked, "buffered": max(0, self.taker.held - active - parked)}

    # --- one entry ---

    def _spawn(self, taken: Taken, way: Way | None = None, turn: Turn | None = None) -> None:
        task = asyncio.create_task(self._handle(taken, way, turn))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("worker: %s", error, exc_info=error)

    async def _handle(self, taken: Taken, way: Way | None, turn: Turn | None) -> None:
        """From here to an outcome, or to the park. An entry without outcome is handed out again by the broker."""
        try:
            if taken.dropped:
                return
            if await self.taker.is_current(taken):
                await self._deliver(taken, way, turn)
            else:
                await self.finisher.drop(taken)
        except BrokerFailure as error:
            log.warning("%s: %s; waits until it is handed out again", taken.entry.id, error)
            self.taker.finished(taken)
        except Exception as error:
            await self._raised(taken, error)
            raise
        except BaseException:
            self.taker.finished(taken)
            raise
        finally:
            if turn:
                turn.end()

    async def _raised(self, taken: Taken, error: Exception) -> None:
        """A mistake of ours: another try when the broker hands it out again, held when that was tried often."""
        if taken.dropped:  # somebody else may be at it by now
            return
        try:
            await self.strikes.raised(taken.entry, error)
        except PoisonError as poison:
            with contextlib.suppress(BrokerFailure):
                await self.finisher.hold_taken(taken, str(poison), "poison")
        except BrokerFailure as failure:
            log.debug("%s: its strike is not stored: %s", taken.entry.id, failure)
        self.taker.finished(taken)

    async def _deliver(self, taken: Taken, way: Way | None, turn: Turn | None) -> None:
        entry = taken.entry
        attempt = Attempt(entry, entry.attempts + 1, self.name, time.time())
        if attempt.started >= entry.expires:
            if taken.begin():
                await self._undeliverable(taken, attempt)
            return
        try:
            if way is None:
                with self.lobby.waits(taken):
                    way = self._way(entry.domain, await self.router.route(entry.domain))
                attempt.time_dns = time.time() - attempt.started
            attempt.site = way.route.key
            result = await self._at_site(taken, way, turn, attempt)
        except DeliveryFailure as failure:
            await self._failed(taken, attempt, failure, way)
        except GoneError:
            await self.finisher.drop(taken)
        except (MissingError, CorruptError) as error:
            await self.finisher.hold_taken(taken, str(error))
        except PoisonError as error:
            await self.finisher.hold_taken(taken, str(error), "poison")
        else:
            if result:
                await self.finisher.done(taken, attempt.delivered(result))

    def _way(self, domain: str, route: Route) -> Way:
        policy = self._policy_of(domain, route, self.taker.pool, "")
        return Way(route, policy, pace(policy.limits))

    async def _at_site(self, taken: Taken, way: Way, turn: Turn | None, attempt: Attempt) -> Delivered | None:
        """Deliver, or park where it is not its turn (None).

        Raises DeliveryFailure, GoneError, MissingError, CorruptError, PoisonError.
        """
        await self.finisher.clear.wait()  # nothing goes out while outcomes cannot be stored
        if taken.dropped:
            return None
        site = self.sites.get(way.route.key, way.pace.connections)
        if down := site.down_failure:
            attempt.number -= 1  # known not to answer: it waits like after a try, without one that counts
            raise down
        turn = turn or self.park.turn(taken, way, site)
        if turn is None:
            self.park.push(taken, way, site)
            return None
        try:
            async with self.strikes.around(taken.entry), self._memory.use(taken.entry.size):
                prepared = await self._prepare(taken)
                attempt.signatures = prepared.signatures
                attempt.sent = time.time()
                envelope = Envelope(taken.entry.sender, taken.entry.recipient, taken.entry.smtputf8)
                return await site.deliver(turn.seat, way, envelope, prepared.message, turn.begin)
        except NotNowError as later:
            if not taken.dropped:
                self.park.hold(way, site, later)
                self.park.push(taken, way, site)
            return None
        finally:
            turn.end()  # the connection is free before the outcome is stored

    async def _prepare(self, taken: Taken) -> Prepared:
        try:
            return await self.preparer.prepare(taken)
        except (BadKeyError, UnsignedError) as error:
            raise temporary("4.7.0", str(error), phase="content", reason="dkim") from error

    async def _failed(self, taken: Taken, attempt: Attempt, failure: DeliveryFailure, way: Way | None) -> None:
        if not taken.begun and not taken.begin():
            return
        policy = way.policy if way else self._policy_of(taken.entry.domain, None, self.taker.pool, "")
        at = None if failure.permanent else next_attempt(attempt.entry, attempt.number, time.time(), policy)
        if at is None:
            await self._undeliverable(taken, attempt, failure)
        else:
            later = taken.entry.but(attempts=attempt.number, last_reply=str(failure), last_host=failure.said_by)
            await self.finisher.defer(taken, attempt.deferred(failure, at), later, at)

    async def _undeliverable(self, taken: Taken, attempt: Attempt, failure: DeliveryFailure | None = None) -> None:
        """It has failed, or expired, which its sender is told. Until there is room for that it stays and waits."""
        async with self._memory.use(taken.entry.size):
            if not self.reporter.has_room(taken.entry):
                await self._wait_for_room(taken, attempt, failure)
                return
            row = attempt.bounced(failure) if failure else attempt.expired()
            report = await self.reporter.about(taken, row)
        await self.finisher.done(taken, row, report)

    async def _wait_for_room(self, taken: Taken, attempt: Attempt, failure: DeliveryFailure | None) -> None:
        """A store filled up with reports would take no outcome any more, and so never become empty again."""
        why = f"no room for the report that it {f'failed: {failure}' if failure else 'expired'}"
        full = temporary("4.3.1", why, phase="report", reason="full", code=452)
        later = taken.entry.but(last_reply=taken.entry.last_reply or str(full))
        if failure:
            later = later.but(last_reply=str(failure), last_host=failure.said_by)
        at = time.time() + self._policy_of(taken.entry.domain, None, self.taker.pool, "").retry_first
        await self.finisher.defer(taken, attempt.deferred(full, at), later, at)
