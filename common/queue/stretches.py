"""Going through what an order is about: read after read, page after page, and what remains is removed by the stretch.

A stretch is what whoever comes after a crash repeats, page by page (``common.queue.carrier``).
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from common.broker import Broker, BrokerError, Stored
from common.controls.control import Control
from common.queue import carrier
from common.queue.behind import Behind
from common.queue.carrier import Carrier, Job, Page
from common.queue.moving import order_of, readable
from common.queue.pages import Pages
from common.queue.progress import Found, Stretch, delivery_of
from common.subjects import Kind, campaign_in

#: Reads of a stretch, a gigabyte of copies at most: what they find is removed from the queue by one purge, for which
#: nats-server reads all that is on the filter, also what lies behind.
READS = 15


class Stretches:
    """The way through the pools; ``goes_on`` says whether there is more to do."""

    def __init__(self, broker: Broker, carrier_: Carrier, goes_on: Callable[[Job], bool]) -> None:
        self._reader, self._carrier, self._goes_on = Pages(broker), carrier_, goes_on
        self._places: dict[str, dict[tuple[str, Kind], int]] = defaultdict(dict)
        """Where the sweeps of an order begin: what comes later lies behind it."""
        self._kept: dict[str, dict[tuple[str, Kind], set[str]]] = defaultdict(lambda: defaultdict(set))
        """Campaigns of what the sweeps of an order left behind, from the first message of the stream on."""
        self._one = asyncio.Lock()

    def forget(self, order: Control | None = None) -> None:
        """The next sweep, of all or of one order, begins with the first message of the stream."""
        for known in (self._places, self._kept):
            if order:
                known.pop(order.id, None)
            else:
                known.clear()
        if not order:
            self._reader.forget()

    async def sweep(self, job: Job, pools: list[str], kinds: list[Kind]) -> int:
        """One pass over the pools; how many it moved. Raises what the broker raises."""
        before = job.progress.moved + job.progress.returned
        places = self._places[job.order.id]
        for pool in [pool for pool in pools if job.order.match.pool in ("", pool)]:
            for kind in kinds:
                first = places.get((pool, kind), 1)
                while first and self._goes_on(job):
                    places[pool, kind] = first
                    first = await self._stretch(job, Stretch(pool, kind, first, busy=sorted(job.busy)))
        return job.progress.moved + job.progress.returned - before

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

    async def repeat(self, job: Job) -> None:
        """The stretch at which somebody died. Raises what the broker raises."""
        if stretch := job.progress.stretch:
            busy = job.busy
            async with self._one:
                job.busy = busy | set(stretch.busy)
                for first, last, _, first_row in stretch.pages:
                    if found := await self._again(job, stretch, first, last):
                        page = self._carrier.page(job, stretch, found, first_row)
                        await self._carrier.tell(job, stretch, page, again=True)
                        await self._move(job, stretch, page)
                job.gone.kept = None
                await self._carrier.clear(job, stretch)
            job.busy = busy

    async def _move(self, job: Job, stretch: Stretch, page: Page) -> None:
        """A page that was told of; what has gone from it meanwhile is left out."""
        first, last = page.first, page.last
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
