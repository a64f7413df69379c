"""The worker: takes entries, finds their site, delivers or parks them, and finishes what has an outcome."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from typing import NamedTuple

import structlog

from common.broker import BrokerFailure
from common.config import Delivery
from common.content import CorruptError
from common.controls.control import Action, Control
from common.keys import BadKeyError
from common.queue.bands import Bands
from common.queue.bodies import MissingError
from common.queue.finish import Finisher
from common.queue.strikes import PoisonError, Strikes
from common.queue.take import GoneError, Taker
from common.queue.taken import Taken
from outbound.budget import Budget
from outbound.failure import DeliveryFailure, temporary
from outbound.orders import OrderedError, Orders
from outbound.prepare import Prepared, Preparer, UnsignedError
from outbound.record import Attempt
from outbound.reporter import Reporter
from outbound.retry import next_attempt
from outbound.routing import Route, Router
from outbound.site import Delivered, Sites
from outbound.smtp import Envelope

log = structlog.get_logger()

#: Entries being worked on at the same time: looked up, transferred, finished.
MAX_HANDLED = 1000
#: Entries that wait for room at their site, and the bytes of content that stay with them; the others' is let go of.
MAX_PARKED, MAX_PARKED_BYTES = 5000, 32 * 2**20
#: Who waited there longer (seconds) is read again, and so found out when it was purged meanwhile.
FRESH = 5.0
#: Bytes of large messages in memory, and from which size a message counts as large.
MAX_LARGE_BYTES, LARGE = 256 * 2**20, 256 * 2**10


class Worker:
    """One worker of a pool. ``name`` stands in its events."""

    def __init__(
        self,
        name: str,
        delivery: Delivery,
        taker: Taker,
        finisher: Finisher,
        preparer: Preparer,
        reporter: Reporter,
        router: Router,
        sites: Sites,
        strikes: Strikes,
        orders: Orders,
    ) -> None:
        self.name, self.delivery = name, delivery
        self.taker, self.finisher, self.preparer, self.reporter = taker, finisher, preparer, reporter
        self.router, self.sites, self.strikes = router, sites, strikes
        self.orders = orders
        self._tasks: set[asyncio.Task[None]] = set()
        self._memory = Budget(MAX_LARGE_BYTES, LARGE)
        self._in_use: Counter[str] = Counter()
        self._park: dict[str, Bands[_Parked]] = defaultdict(Bands)
        self._parked = self._parked_bytes = 0
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Take and deliver, for ever."""
        while True:
            await self.finisher.clear.wait()
            while len(self._tasks) >= MAX_HANDLED or self._is_park_full():
                self._room.clear()
                with contextlib.suppress(TimeoutError):  # entries that are dropped make room without a word
                    await asyncio.wait_for(self._room.wait(), 1)
            taken = await self.taker.take()
            if order := self.orders.over(taken):
                await self.orders.leave(taken, order)
            else:
                self._spawn(taken)

    async def drain(self, timeout: float) -> None:
        """Wait (seconds) for what has begun; the broker hands everything else to somebody else."""
        self._park.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    def levels(self) -> dict[str, int]:
        """How many entries are where."""
        active, parked = len(self._tasks), self._parked
        return {"active": active, "parked": parked, "buffered": max(0, self.taker.held - active - parked)}

    # --- one entry ---

    def _spawn(self, taken: Taken, route: Route | None = None, slot: "_Slot | None" = None) -> None:
        task = asyncio.create_task(self._handle(taken, route, slot))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("worker: %s", error, exc_info=error)

    async def _handle(self, taken: Taken, route: Route | None, slot: "_Slot | None") -> None:
        """From here to an outcome, or to the park. An entry without outcome is handed out again by the broker."""
        try:
            if taken.dropped:
                return
            if order := self.orders.over(taken):
                await self.orders.leave(taken, order)
            elif await self.taker.is_current(taken):
                await self._deliver(taken, route, slot)
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
            if slot:
                slot.release()

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

    async def _deliver(self, taken: Taken, route: Route | None, slot: "_Slot | None") -> None:
        entry = taken.entry
        attempt = Attempt(entry, entry.attempts + 1, self.name, time.time())
        if attempt.started >= entry.expires:
            if taken.begin() and self.orders.may_end(taken):
                await self._undeliverable(taken, attempt)
            return
        try:
            if route is None:
                route = await self.router.route(entry.domain)
                attempt.time_dns = time.time() - attempt.started
            attempt.site = route.key
            result = await self._at_site(taken, route, slot, attempt)
        except DeliveryFailure as failure:
            await self._failed(taken, attempt, failure)
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
                await self.finisher.done(taken, attempt.delivered(result))

    async def _at_site(self, taken: Taken, route: Route, slot: "_Slot | None", attempt: Attempt) -> Delivered | None:
        """Deliver, or park where the site has no room (None).

        Raises DeliveryFailure, OrderedError, GoneError, MissingError, CorruptError, PoisonError.
        """
        await self.finisher.clear.wait()  # nothing goes out while outcomes cannot be stored
        if taken.dropped:
            return None
        site = self.sites.get(route.key)
        if down := site.down_failure:
            attempt.number -= 1  # known not to answer: it waits like after a try, without one that counts
            raise down
        if slot is None:
            if self._in_use[route.key] >= site.limit:
                self._park_at(taken, route)
                return None
            slot = _Slot(self, route.key)
        taken.begin()
        try:
            async with self.strikes.around(taken.entry), self._memory.use(taken.entry.size):
                prepared = await self._prepare(taken)
                attempt.signatures = prepared.signatures
                attempt.sent = time.time()
                envelope = Envelope(taken.entry.sender, taken.entry.recipient, taken.entry.smtputf8)
                return await site.deliver(route, envelope, prepared.message, lambda: self.orders.set_out(taken))
        finally:
            slot.release()  # the connection is free before the outcome is stored

    async def _prepare(self, taken: Taken) -> Prepared:
        try:
            return await self.preparer.prepare(taken)
        except (BadKeyError, UnsignedError) as error:
            raise temporary("4.7.0", str(error), phase="content", reason="dkim") from error

    async def _failed(self, taken: Taken, attempt: Attempt, failure: DeliveryFailure) -> None:
        if (not taken.begun and not taken.begin()) or not self.orders.may_end(taken):
            return
        at = None if failure.permanent else next_attempt(attempt.entry, attempt.number, time.time(), self.delivery)
        if at is None:
            await self._undeliverable(taken, attempt, failure)
        elif (order := self.orders.over(taken)) and order.action is Action.STOP:
            await self._stopped(taken, attempt, order)
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
        at = time.time() + self.delivery.retry_first
        await self.finisher.defer(taken, attempt.deferred(full, at), later, at)

    async def _stopped(self, taken: Taken, attempt: Attempt, order: Control) -> None:
        """It was on its way when it was stopped, and it would have to be tried again."""
        row = attempt.stopped(order)
        report = await self.reporter.about(taken, row) if order.report and self.reporter.has_room(taken.entry) else None
        await self.finisher.done(taken, row, report)

    # --- the park: entries that wait for room at their site ---

    def _park_at(self, taken: Taken, route: Route) -> None:
        if self._parked_bytes + taken.inline_size > MAX_PARKED_BYTES:
            self.taker.shed(taken)
        self._park[route.key].push(taken.entry.priority, _Parked(taken, route, time.monotonic()))
        self._count_parked(taken, 1)

    async def orders_changed(self) -> None:
        """Let go of what is parked under an order, which makes room for others; look again at what was let go of."""
        for waiting in self._park.values():
            for parked in waiting:
                if self.orders.over(parked.taken):
                    self.orders.drop(parked.taken)
        await self.orders.give_back()

    def _is_park_full(self) -> bool:
        if self._parked < MAX_PARKED:
            return False
        self._parked = self._parked_bytes = 0
        for waiting in self._park.values():  # without those that are not ours any more
            waiting.keep(lambda parked: not parked.taken.dropped)
            for parked in waiting:
                self._count_parked(parked.taken, 1)
        return self._parked >= MAX_PARKED

    def _count_parked(self, taken: Taken, change: int) -> None:
        self._parked += change
        self._parked_bytes += change * taken.inline_size

    def unpark(self, key: str) -> None:
        """Let go who waits for a site, as far as it has room."""
        waiting = self._park.get(key)
        while waiting and self._in_use[key] < self.sites.get(key).limit:
            taken, route, since = waiting.pop()
            self._count_parked(taken, -1)
            if time.monotonic() - since > FRESH:
                self.taker.shed(taken)
            if not taken.dropped:
                self._spawn(taken, route, _Slot(self, key))
        if not waiting:
            self._park.pop(key, None)
        self._room.set()

    def use(self, key: str, change: int) -> None:
        """Count the slots of a site."""
        self._in_use[key] += change
        if not self._in_use[key]:
            del self._in_use[key]


class _Parked(NamedTuple):
    """An entry that waits, and since when."""

    taken: Taken
    route: Route
    since: float


class _Slot:
    """The right to one connection to a site; given back once, which lets the next one go."""

    def __init__(self, worker: Worker, key: str) -> None:
        self._worker, self._key, self._held = worker, key, True
        worker.use(key, 1)

    def release(self) -> None:
        if self._held:
            self._held = False
            self._worker.use(self._key, -1)
            self._worker.unpark(self._key)
