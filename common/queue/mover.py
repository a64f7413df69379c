"""The mover: takes out of the queue what is under an order, and brings it back. Active once, by lease.

It begins when every live worker has confirmed the order: from then on nothing under it goes out, but for mail that was
on its way (``busy``), whose worker ends it and takes the held copy away. It goes page by page. The range of a page
is stored first, then the rows of its entries with an id made of the range, then they are moved: whoever comes after a
crash repeats exactly that range, so nothing is told twice.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerError, BrokerFailure, Message, Stored, with_id
from common.content import BodyRef
from common.controls import confirm, store
from common.controls.control import Action, Control
from common.controls.controls import Controls
from common.controls.watch import MET
from common.entry import Entry
from common.event import Event, pack
from common.queue import progress, reports
from common.queue.bodies import Bodies
from common.queue.moving import back, order_of, put_all, readable, to_held
from common.queue.progress import Progress, delivery_of
from common.queue.schedule import is_due
from common.subjects import HELD, READY, SCHEDULED, Kind, events, queue_stream

log = structlog.get_logger()

#: Entries and bytes of a page. Each costs nats-server a look at every subject of the filter, to read and to purge.
STEP, STEP_BYTES = 10_000, 32 * 2**20
#: Bytes of rows that one message may have.
ROWS_BYTES = 2**20
#: Seconds between looks.
EVERY = 1.0
#: A schedule that is due within so many seconds may fire before it is moved.
FIRING = 60.0

#: Makes the report on an entry that was stopped: its stored message, the entry, the row; None where nobody is told.
Report = Callable[[Stored, Entry, Event], Awaitable[Entry | None]]
Found = tuple[Stored, Entry | None]


@dataclass(eq=False)
class _Job:
    """The work on one order."""

    order: Control
    progress: Progress
    busy: frozenset[str] = frozenset()
    skipped: bool = False
    """Something was on its way: it is looked for again."""


class Mover:
    """Moves the entries of all pools. ``report`` is for those who are to be told."""

    def __init__(self, broker: Broker, pools: list[str], report: Report | None = None) -> None:
        self.broker, self.pools, self._report = broker, pools, report
        self._orders: dict[str, Control] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._swept: set[str] = set()
        self._places: dict[str, dict[tuple[str, Kind], int]] = defaultdict(dict)
        """Where the sweeps of an order begin: what comes later lies behind it."""
        self._told: dict[str, set[str]] = defaultdict(set)
        """Deliveries that were told of while they were scheduled, and may fire before they are moved."""
        self._ahead: tuple[tuple[str, str, int], asyncio.Task[list[Stored]]] | None = None
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
            self._ahead = None
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
            job = _Job(order, await progress.read(self.broker, order))
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

    def _is_over(self, job: _Job) -> bool:
        """Whether the order is to end, as far as is known now."""
        now = self._orders.get(job.order.id)
        if now and now.revision > job.order.revision:
            job.order = now
        return job.order.released or job.order.is_over(time.time())

    # --- out of the queue, and back ---

    async def _out(self, job: _Job) -> None:
        """Hold or stop what is under the order, until nothing is left or the order is over."""
        job.busy = (await confirm.wait(self.broker, job.order.revision)).busy
        if job.progress.range:
            await self._page(job, *job.progress.range)
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
            self._places.pop(job.order.id, None)
        elif not job.progress.done:
            await self._store(progress.told(job.order, job.order.action, job.order.by, job.progress.moved))
            job.progress.done = True
            log.info("order %s: %s %s deliveries", job.order.id, job.order.action, job.progress.moved)
        elif job.progress.moved == before:
            return
        await self._save(job)

    async def _back(self, job: _Job) -> None:
        """Let workers go on, then bring back what the order holds. Until no page is half moved they wait."""
        if not job.order.released:
            job.order = await store.write(self.broker, job.order.but(released=True))
            self._places.pop(job.order.id, None)
        job.busy = (await confirm.wait(self.broker, job.order.revision)).busy
        if job.progress.range:
            await self._page(job, *job.progress.range)
        while await self._sweep(job, [HELD]):
            pass
        if job.skipped:
            self._places.pop(job.order.id, None)
            return  # a copy of what was on its way: its worker takes it away
        by = job.order.ended_by or job.order.by
        await self._store(progress.told(job.order, "resume", by, job.progress.returned))
        log.info("order %s: over, %s deliveries resumed", job.order.id, job.progress.returned)
        job.progress.over = True
        await self._save(job)
        await store.remove(self.broker, job.order)
        for known in (self._places, self._told):
            known.pop(job.order.id, None)

    # --- page by page ---

    async def _sweep(self, job: _Job, kinds: list[Kind]) -> int:
        """One pass over the pools; how many it moved."""
        before = job.progress.moved + job.progress.returned
        places, released = self._places[job.order.id], job.order.released
        for pool in self.pools if not job.order.match.pool else [job.order.match.pool]:
            for kind in kinds:
                first = places.get((pool, kind), 1)
                while first and (released or not self._is_over(job)):
                    places[pool, kind] = first
                    first = await self._page(job, pool, kind, first)
        return job.progress.moved + job.progress.returned - before

    async def _page(self, job: _Job, pool: str, kind: Kind, first: int, last: int = 0) -> int:
        """Move what a page has; where the next one begins, 0 after the last."""
        filter_ = job.order.match.filter(kind, pool)
        async with self._one:  # orders that are about the same mail come one after the other
            while page := await self._read(pool, filter_, first):
                last = last or page[-1].sequence
                job.progress.left = page[-1].following
                if job.progress.left:
                    self._read_ahead(pool, filter_, last + 1)
                if not (found := self._found(job, [stored for stored in page if stored.sequence <= last])):
                    break
                try:
                    await self._move(job, (pool, kind, first, last), found)
                    break
                except BrokerError as error:
                    if error.code not in BrokerError.WRONG_SEQUENCE:
                        raise  # else one of them has gone meanwhile
            job.progress.range = None
            return last + 1 if page else 0

    async def _read(self, pool: str, filter_: str, first: int) -> list[Stored]:
        """A page; the one that was read ahead, if nobody moved anything meanwhile."""
        if self._ahead:
            what, page = self._ahead
            self._ahead = None
            if what == (pool, filter_, first):
                return await page
            page.cancel()
        return await self._fetch(pool, filter_, first)

    async def _fetch(self, pool: str, filter_: str, first: int) -> list[Stored]:
        query = {"seq": first, "batch": STEP, "max_bytes": STEP_BYTES, "next_by_subj": filter_}
        return await self.broker.page(queue_stream(pool), query)

    def _read_ahead(self, pool: str, filter_: str, first: int) -> None:
        """Read the next page while this one is moved: that takes the broker as long as us."""
        page = asyncio.create_task(self._fetch(pool, filter_, first))
        page.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._ahead = (pool, filter_, first), page

    def _found(self, job: _Job, page: list[Stored]) -> list[Found]:
        match = job.order.match
        if job.order.released:
            page = [stored for stored in page if order_of(stored) == job.order.id]
        both = ((stored, readable(stored.body)) for stored in page)
        return [(stored, entry) for stored, entry in both if match.is_exact or (entry and match.covers(entry))]

    async def _move(self, job: _Job, range_: tuple[str, Kind, int, int], found: list[Found]) -> None:
        pool, kind, first, last = range_
        job.progress.range = range_
        await self._save(job)
        ours = [(stored, entry) for stored, entry in found if delivery_of(stored) not in job.busy]
        job.skipped = job.skipped or len(ours) < len(found)
        told = self._told[job.order.id]
        others = Controls(self._orders_that_hold() if job.order.released else ())
        rows = [
            progress.row(job.order, pool, stored, entry)
            for stored, entry in ours
            if delivery_of(stored) not in told and not (entry and others.match(entry))
        ]
        released = job.order.released
        await self._tell(pool, rows, f"{job.order.id}.{released}.{pool}.{kind}.{first}.{last}")
        if kind == SCHEDULED:
            told |= {delivery_of(stored) for stored, _ in ours if is_due(stored.headers, time.time() + FIRING)}
        if released:
            await self._bring_back(ours, others)
            job.progress.returned += len(rows)
            return
        if job.order.action is Action.PAUSE:
            await self._hold(job, range_, found if kind == READY else ours)
        else:
            await self._stop(job, range_, found, ours, rows)
        job.progress.moved += len(rows)

    def _orders_that_hold(self) -> list[Control]:
        return [order for order in self._orders.values() if order.action is Action.PAUSE and not order.released]

    async def _bring_back(self, found: list[Found], others: Controls) -> None:
        """On their way again, or under another order that holds them too."""
        now = time.time()
        messages = []
        for stored, entry in found:
            other = others.match(entry) if entry else None
            messages.append(to_held(stored, entry, other) if other else back(stored, now))
        await put_all(self.broker, messages)

    async def _hold(self, job: _Job, range_: tuple[str, Kind, int, int], found: list[Found]) -> None:
        await put_all(self.broker, [to_held(stored, entry, job.order) for stored, entry in found])
        if range_[1] == READY:
            await self._remove(job, range_, found, whole=True)

    async def _stop(
        self, job: _Job, range_: tuple[str, Kind, int, int], found: list[Found], ours: list[Found], rows: list[Event]
    ) -> None:
        if job.order.report:
            await self._send_reports(ours, rows)
        if range_[1] == READY:  # what is on its way is kept until its worker has ended it
            under_way = [(stored, entry) for stored, entry in found if delivery_of(stored) in job.busy]
            await put_all(self.broker, [to_held(stored, entry, job.order) for stored, entry in under_way])
            await self._remove(job, range_, found, whole=True)
        else:
            await self._remove(job, range_, ours, whole=not job.busy)
        shared = {entry.submission for _, entry in ours if entry and isinstance(entry.content, BodyRef)}
        bodies = Bodies(self.broker, range_[0])
        await _gently(bodies.release(submission) for submission in shared)

    async def _send_reports(self, found: list[Found], rows: list[Event]) -> None:
        by_delivery = {row.delivery: row for row in rows}
        for stored, entry in found:
            row = by_delivery.get(delivery_of(stored))
            if self._report and entry and row and (report := await self._report(stored, entry, row)):
                await self._store(reports.stored(report))
                await self._store(reports.accepted(report))

    async def _remove(self, job: _Job, range_: tuple[str, Kind, int, int], found: list[Found], *, whole: bool) -> None:
        """One purge up to the last where the filter selects nothing else, else one by one."""
        pool, kind, _, last = range_
        stream = queue_stream(pool)
        if whole and job.order.match.is_exact:
            what = {"filter": job.order.match.filter(kind, pool), "seq": last + 1}
            await self.broker.api(f"STREAM.PURGE.{stream}", what)
        else:
            await _gently(self.broker.remove(stream, stored.sequence) for stored, _ in found)

    # --- what is stored ---

    async def _tell(self, pool: str, rows: list[Event], identifier: str) -> None:
        """In one message, or in more where they are large."""
        if not rows:
            return
        body = pack(rows)
        if len(body) > ROWS_BYTES and len(rows) > 1:
            half = len(rows) // 2
            await self._tell(pool, rows[:half], f"{identifier}.a")
            await self._tell(pool, rows[half:], f"{identifier}.b")
        else:
            await self._store(with_id(events(pool), body, identifier))

    async def _save(self, job: _Job) -> None:
        await self._store(progress.stored(job.order, job.progress))

    async def _store(self, message: Message) -> None:
        """Raises what ``Broker.store`` raises."""
        try:
            await self.broker.store([message])
        except BrokerError as error:
            if error.code not in BrokerError.WRONG_SEQUENCE:  # else guarded, and there already
                raise


async def _gently(work: Iterable[Awaitable[object]], at_once: int = 100) -> None:
    """Await them, not too many at the same time."""
    group: list[Awaitable[object]] = []
    for one in work:
        group.append(one)
        if len(group) == at_once:
            await asyncio.gather(*group)
            group = []
    await asyncio.gather(*group)
