"""The mover: takes out of the queue what is under an order, and brings it back. Active once, by lease.

It begins when every live worker has confirmed the order: from then on nothing under it goes out, but for mail that was
on its way (``busy``), whose worker ends it and takes the held copy away. It goes page by page; several make a
stretch, which whoever comes after a crash repeats (``common.queue.carrier``).
"""

import asyncio
import contextlib
import time
from collections import defaultdict

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerError, BrokerFailure, Stored
from common.controls import confirm, store
from common.controls.control import Action, Control
from common.controls.watch import MET
from common.queue import carrier, pools, progress
from common.queue.behind import Behind
from common.queue.carrier import Carrier, Job, Page, Report
from common.queue.moving import order_of, readable
from common.queue.pages import Pages
from common.queue.progress import Found, Stretch, delivery_of
from common.subjects import HELD, READY, SCHEDULED, Kind, campaign_in

log = structlog.get_logger()

#: Reads of a stretch, a gigabyte of copies at most: what they find is removed from the queue by one purge, for which
#: nats-server reads all that is on the filter, also what lies behind.
READS = 30
#: Seconds between looks.
EVERY = 1.0


class Mover:
    """Moves the entries of all pools. ``report`` is for those who are to be told."""

    def __init__(self, broker: Broker, pools: list[str], report: Report | None = None) -> None:
        self.broker, self.pools = broker, pools
        self._reader, self._carrier = Pages(broker), Carrier(broker, report)
        self._carrier.pauses = self._pauses
        self._orders: dict[str, Control] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._swept: set[str] = set()
        self._places: dict[str, dict[tuple[str, Kind], int]] = defaultdict(dict)
        """Where the sweeps of an order begin: what comes later lies behind it."""
        self._kept: dict[str, dict[tuple[str, Kind], set[str]]] = defaultdict(lambda: defaultdict(set))
        """Campaigns of what the sweeps of an order left behind, from the first message of the stream on."""
        self._told: dict[str, set[str]] = defaultdict(set)
        """Deliveries that were told of while they were scheduled, and may fire before they are moved."""
        self._wake = asyncio.Event()
        self._one = asyncio.Lock()

    async def start(self) -> None:
        """Listen for orders, and for workers that met mail under one."""
        await self.broker.subscribe(store.SUBJECTS, self._on_notice)
        await self.broker.subscribe(f"{MET}.*", self._on_met)

    async def run(self) -> None:
        """Move for ever."""
        self._swept.clear()
        self._places.clear()
        self._kept.clear()
        try:
            while True:
                self._wake.clear()
                try:
                    await self._look()
                except BrokerFailure as error:
                    log.debug("mover: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):  # wait_for may swallow being cancelled (Python 3.11)
                        await self._wake.wait()
        finally:
            self._reader.forget()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self) -> None:
        """Begin the work that there is."""
        self._orders = {order.id: order for order in await store.read(self.broker)}
        for order in self._orders.values():
            due = order.released or order.is_over(time.time()) or order.id not in self._swept
            if due and order.id not in self._tasks:
                self._swept.add(order.id)
                self._tasks[order.id] = asyncio.create_task(self._work(order))

    async def _on_notice(self, _message: Msg) -> None:
        self._wake.set()

    async def _on_met(self, message: Msg) -> None:
        self._swept.discard(message.subject.rpartition(".")[2])
        self._wake.set()

    async def _work(self, order: Control) -> None:
        try:
            job = Job(order, await progress.read(self.broker, order), told=self._told[order.id])
            if not order.released:
                await self._out(job)
            if self._is_over(job):
                await self._back(job)
        except BrokerFailure as error:
            log.warning("order %s: %s; going on in a moment", order.id, error)
            self._swept.discard(order.id)
        except Exception:
            log.exception("order %s", order.id)
            self._swept.discard(order.id)
        finally:
            del self._tasks[order.id]

    def _is_over(self, job: Job) -> bool:
        """Whether the order is to end, as far as is known now."""
        now = self._orders.get(job.order.id)
        if now and now.revision > job.order.revision:
            job.order = now
        return job.order.released or job.order.is_over(time.time())

    # --- out of the queue, and back ---

    async def _out(self, job: Job) -> None:
        """Hold or stop what is under the order, until nothing is left or the order is over."""
        job.busy = (await confirm.wait(self.broker, job.order.revision)).busy
        await self._repeat(job)
        before = job.progress.moved
        kinds: list[Kind] = [READY, SCHEDULED]
        if job.order.action is Action.STOP:
            kinds.append(HELD)
        while not self._is_over(job) and await self._sweep(job, kinds):
            pass
        if self._is_over(job):
            return
        if job.skipped:
            self._swept.discard(job.order.id)
            self._from_the_first(job.order)
        elif not job.progress.done:
            await self._carrier.store(progress.told(job.order, job.order.action, job.order.by, job.progress.moved))
            job.progress.done = True
            log.info("order %s: %s %s deliveries", job.order.id, job.order.action, job.progress.moved)
        elif job.progress.moved == before:
            return
        await self._carrier.save(job)

    async def _back(self, job: Job) -> None:
        """Let workers go on, then bring back what the order holds. Until no page is half moved they wait."""
        if not job.order.released:
            job.order = await store.write(self.broker, job.order.but(released=True))
            self._from_the_first(job.order)
        job.busy = (await confirm.wait(self.broker, job.order.revision)).busy
        await self._repeat(job)
        while await self._sweep(job, [HELD]):
            pass
        if job.skipped:
            self._from_the_first(job.order)
            return  # a copy of what was on its way: its worker takes it away
        by = job.order.ended_by or job.order.by
        await self._carrier.store(progress.told(job.order, "resume", by, job.progress.returned))
        log.info("order %s: over, %s deliveries resumed", job.order.id, job.progress.returned)
        job.progress.over = True
        await self._carrier.save(job)
        await store.remove(self.broker, job.order)
        self._from_the_first(job.order)
        self._told.pop(job.order.id, None)

    def _from_the_first(self, order: Control) -> None:
        """The next sweep begins with the first message of the stream."""
        self._places.pop(order.id, None)
        self._kept.pop(order.id, None)

    # --- page by page ---

    async def _sweep(self, job: Job, kinds: list[Kind]) -> int:
        """One pass over the pools; how many it moved."""
        before = job.progress.moved + job.progress.returned
        places = self._places[job.order.id]
        known = await pools.known(self.broker, self.pools)  # those too that were taken out of the configuration
        for pool in [pool for pool in known if job.order.match.pool in ("", pool)]:
            for kind in kinds:
                first = places.get((pool, kind), 1)
                while first and self._goes_on(job):
                    places[pool, kind] = first
                    first = await self._stretch(job, Stretch(pool, kind, first, busy=sorted(job.busy)))
        return job.progress.moved + job.progress.returned - before

    def _goes_on(self, job: Job) -> bool:
        return job.order.released or not self._is_over(job)

    async def _stretch(self, job: Job, stretch: Stretch) -> int:
        """Move some pages, then remove them at one go; where the next begins, 0 after the last."""
        first = stretch.first
        async with self._one:  # orders that are about the same mail come one after the other
            job.progress.stretch = stretch
            job.gone.kept = self._kept[job.order.id][stretch.pool, stretch.kind]
            async with Behind() as behind:
                for _ in range(READS):
                    first = await self._read(job, stretch, first, behind)
                    if not (first and self._goes_on(job)):
                        break
            await self._carrier.clear(job, stretch)
        return first

    async def _read(self, job: Job, stretch: Stretch, first: int, behind: Behind) -> int:
        """Tell of what is found, and move it while more is told of; where the next begins, 0 after the last."""
        filter_ = job.order.match.filter(stretch.kind, stretch.pool)
        read = await self._reader.read(stretch.pool, filter_, first)
        if not read:
            return 0
        last = read[-1].sequence
        job.progress.left = read[-1].following
        if job.progress.left:
            self._reader.read_ahead(stretch.pool, filter_, last + 1)
        for i in range(0, len(read), carrier.ROWS):
            some = read[i : i + carrier.ROWS]
            found = self._found(job, some)
            self._keep(job, stretch, some, found)
            for page in self._carrier.pages(job, stretch, found):
                await self._carrier.tell(job, stretch, page)
                await behind.begin(self._move(job, stretch, page))
        return last + 1

    async def _repeat(self, job: Job) -> None:
        """The stretch at which somebody died."""
        if stretch := job.progress.stretch:
            first, busy = stretch.first, job.busy
            async with self._one:
                job.busy = busy | set(stretch.busy)
                for last, _, first_row in stretch.pages:
                    if found := await self._again(job, stretch, first, last):
                        page = self._carrier.page(job, stretch, found, first_row)
                        await self._carrier.tell(job, stretch, page, again=True)
                        await self._move(job, stretch, page)
                    first = last + 1
                job.gone.kept = None
                await self._carrier.clear(job, stretch)
            job.busy = busy

    async def _move(self, job: Job, stretch: Stretch, page: Page) -> None:
        """A page that was told of; what has gone from it meanwhile is left out."""
        first, last = page.found[0].stored.sequence, page.last
        while True:
            try:
                return await self._carrier.move(job, stretch, page)
            except BrokerError as error:
                if error.code not in BrokerError.WRONG_SEQUENCE:
                    raise
            there = {one.stored.sequence for one in await self._again(job, stretch, first, last)}
            if not there:
                return None
            page = page.only(there)

    async def _again(self, job: Job, stretch: Stretch, first: int, last: int) -> list[Found]:
        """What is there of a page."""
        filter_ = job.order.match.filter(stretch.kind, stretch.pool)
        read = await self._reader.fetch(stretch.pool, filter_, first)
        return self._found(job, [stored for stored in read if stored.sequence <= last])

    def _keep(self, job: Job, stretch: Stretch, read: list[Stored], found: list[Found]) -> None:
        """Note what is left behind, where that decides how to remove."""
        if job.removes(stretch):
            taken = {one.stored.sequence for one in found if job.takes(stretch, one.delivery)}
            if len(taken) < len(read):
                left = {campaign_in(stored.subject) for stored in read if stored.sequence not in taken}
                self._kept[job.order.id][stretch.pool, stretch.kind] |= left

    def _found(self, job: Job, page: list[Stored]) -> list[Found]:
        match = job.order.match
        if job.order.released:
            page = [stored for stored in page if order_of(stored) == job.order.id]
        both = ((stored, readable(stored.body)) for stored in page)
        return [
            Found(stored, entry, delivery_of(stored))
            for stored, entry in both
            if match.is_exact or (entry and match.covers(entry))
        ]

    def _pauses(self) -> list[Control]:
        return [order for order in self._orders.values() if order.action is Action.PAUSE and not order.released]
