"""The worker: takes entries, finds their site, delivers or parks them, and finishes what has an outcome."""

import asyncio
import contextlib
import time

import structlog

from common.broker import BrokerFailure
from common.content import CorruptError
from common.entry import Entry
from common.keys import BadKeyError
from common.limits.rates import HORIZON
from common.policies.policy import Policy
from common.queue.bodies import MissingError
from common.queue.finish import Finisher
from common.queue.strikes import PoisonError, Strikes
from common.queue.take import GoneError, Taker
from common.queue.taken import Taken
from common.waits import wait
from outbound.aside import Aside
from outbound.budget import Budget
from outbound.delays import Delays
from outbound.ending import Endings
from outbound.failure import DeliveryFailure, NotNowError, temporary
from outbound.learn import Learner
from outbound.line import token_of
from outbound.lobby import Lobby
from outbound.orders import OrderedError, Orders
from outbound.park import Park, Turn
from outbound.prepare import Prepared, Preparer, UnsignedError
from outbound.put_off import PutOff
from outbound.record import Attempt
from outbound.reporter import Reporter
from outbound.return_paths import ReturnPaths
from outbound.site import Delivered
from outbound.sites import Sites
from outbound.smtp import Envelope
from outbound.suppress import Suppressor
from outbound.ways import Way, Ways

log = structlog.get_logger()

#: Entries being worked on at the same time: looked up in the queue, transferred (``park.MAX_SEATED``), finished.
MAX_HANDLED = 2000
#: Seconds between looks for who has expired in the park.
LOOK = 5.0
#: Bytes of large messages in memory, and from which size a message counts as large.
MAX_LARGE_BYTES, LARGE = 256 * 2**20, 256 * 2**10


class Worker:
    """One worker of a pool. ``name`` stands in its events."""

    def __init__(
        self,
        name: str,
        ways: Ways,
        taker: Taker,
        finisher: Finisher,
        preparer: Preparer,
        reporter: Reporter,
        delays: Delays,
        sites: Sites,
        strikes: Strikes,
        learner: Learner,
        orders: Orders,
        suppressor: Suppressor,
        return_paths: ReturnPaths | None = None,
    ) -> None:
        self.name, self.ways, self.orders, self.return_paths = name, ways, orders, return_paths
        self.taker, self.finisher, self.preparer = taker, finisher, preparer
        self.sites, self.strikes = sites, strikes
        self._tasks: set[asyncio.Task[None]] = set()
        self._memory = Budget(MAX_LARGE_BYTES, LARGE)
        self.delays = delays
        self.suppressor = suppressor
        self.endings = Endings(finisher, reporter, delays, ways, learner, orders, self._memory, suppressor)
        self.park = Park(sites, taker.shed, self._spawn, self._waits_until)
        self.put_off = PutOff(taker, self.park, ways, self.endings)
        sites.on_up = self.put_off.up
        self._room = asyncio.Event()
        self.lobby = Lobby(taker.shed, self._room.set)
        self.aside = Aside(taker.shed, self._spawn)

    async def run(self) -> None:
        """Take and deliver, for ever."""
        while True:
            await self.finisher.clear.wait()
            while (crowded := self._is_crowded()) or self._handled >= MAX_HANDLED:
                self._room.clear()
                if crowded:
                    self.taker.crowded()
                await wait(self._room, 1)  # entries that are dropped make room without a word
            taken = await self.taker.take()
            if order := self.orders.over(taken):
                await self.orders.leave(taken, order)
            else:
                self._spawn(taken)

    def _waits_until(self, entry: Entry, policy: Policy) -> float:
        """When an entry in the park has to be looked at: it has expired, or its sender is to be told of the delay."""
        return min(self.ways.expires(entry, policy), self.delays.due(entry))

    async def expire_parked(self) -> None:
        """End what expires while it waits, and tell whose sender wants to know that it waits; for ever."""
        while True:
            await asyncio.sleep(LOOK)
            for taken in self.park.expired(time.time()):
                self._spawn(taken)

    async def drain(self, timeout: float) -> None:
        """Wait (seconds) for what has begun; the broker hands everything else to somebody else."""
        self.park.clear()
        self.lobby.clear()
        self.aside.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    @property
    def _handled(self) -> int:
        return len(self._tasks) - self.lobby.waiting

    def _is_crowded(self) -> bool:
        return self.lobby.is_full() or self.park.is_full() or self.aside.is_full()

    def levels(self) -> dict[str, int]:
        """How many entries are where."""
        active, parked = len(self._tasks), self.park.parked + len(self.aside)
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
            if order := self.orders.over(taken):
                await self.orders.leave(taken, order)
            elif await self.taker.is_current(taken):
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
            self.orders.ended(taken)
            self.aside.leave(taken)
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
        attempt = Attempt(entry, entry.attempts + 1, self.name, time.time(), self.endings.classifier)
        policy = way.policy if way else self.ways.policy(entry.domain)
        if found := self.suppressor.over(entry):
            if self.aside.enter(taken):
                await self.endings.suppressed(taken, attempt, found)
            return
        if attempt.started >= self.ways.expires(entry, policy):
            if self.aside.enter(taken):
                await self.endings.expired(taken, attempt)
            return
        if self.delays.are_due(entry):
            await self.endings.delayed(taken, attempt)
            return
        try:
            if way is None:
                with self.lobby.waits(taken):
                    way = await self.ways.find(entry.domain)
                attempt.time_dns = time.time() - attempt.started
            elif (now := self.ways.way(entry.domain, way.route, way.source)) is not way:
                way = now
                if turn:
                    turn.end()  # it may be another site's now
                    turn = None
            attempt.goes(way)
            if way.policy is not policy and attempt.started >= self.ways.expires(entry, way.policy):
                await self.endings.expired(taken, attempt)
                return
            result = await self._at_site(taken, way, turn, attempt)
        except DeliveryFailure as failure:
            if way or self.aside.enter(taken):
                await self.endings.failed(taken, attempt, failure, way)
        except OrderedError as ordered:
            await self.orders.leave(taken, ordered.order)
        except GoneError:
            await self.finisher.drop(taken)
        except (MissingError, CorruptError) as error:
            await self.finisher.hold_taken(taken, str(error))
        except PoisonError as error:
            await self.finisher.hold_taken(taken, str(error), "poison")
        else:
            if result:
                await self.endings.delivered(taken, attempt, result)

    async def _at_site(self, taken: Taken, way: Way, turn: Turn | None, attempt: Attempt) -> Delivered | None:
        """Deliver, or park where it is not its turn (None).

        Raises DeliveryFailure, OrderedError, GoneError, MissingError, CorruptError, PoisonError.
        """
        await self.finisher.clear.wait()  # nothing goes out while outcomes cannot be stored
        if taken.dropped:
            return None
        site = self.sites.get(way.route.key, way.pace.connections, way.source)
        if (wait := way.wait or site.down) > 0:
            if turn:
                turn.end()
            await self.put_off.wait(taken, way, site, wait, attempt)
            return None
        turn = turn or self.park.turn(taken, way, site)
        if turn is None:
            self.park.push(taken, way, site)
            return None
        seat, may_begin = turn.seat, turn.begin

        def begin() -> bool:
            self.orders.set_out(taken)
            return may_begin()

        try:
            async with self.strikes.around(taken.entry), self._memory.use(taken.entry.size):
                prepared = await self._prepare(taken)
                attempt.signatures = prepared.signatures
                attempt.sent = time.time()
                envelope, message = Envelope.of(taken.entry, prepared.smtputf8), prepared.message
                if self.return_paths:
                    envelope, message = self.return_paths.put_on(taken.entry, envelope, message, attempt.sent)
                return await site.deliver(seat, way, envelope, message, begin)
        except NotNowError as later:
            if not taken.dropped:
                # who is there a little early waits for its token on the connection
                wait = later.wait if later.wait <= HORIZON else later.wait - HORIZON / 2
                self.park.hold(way, site, wait, token_of(later.limit) if later.limit else "its turn")
                self.park.push(taken, way, site)
            return None
        finally:
            turn.end()  # the connection is free before the outcome is stored

    async def _prepare(self, taken: Taken) -> Prepared:
        try:
            return await self.preparer.prepare(taken)
        except (BadKeyError, UnsignedError) as error:
            raise temporary("4.7.0", str(error), phase="content", reason="dkim") from error

    async def orders_changed(self) -> None:
        """Let go of what is parked under an order, which makes room for others; look again at what was let go of."""
        for taken in (*self.park.waiting(), *self.aside.waiting()):
            if self.orders.over(taken):
                self.orders.drop(taken)
        await self.orders.give_back()
