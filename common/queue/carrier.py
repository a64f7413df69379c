"""What the mover does with a page: it tells of its entries, then holds them, ends them or brings them back.

The page is stored first, then the rows of its entries with ids made of where it lies, then they are moved: whoever
comes after a crash repeats exactly that page, so nothing is told twice. What has to be removed by a purge is removed
for several pages at once (``clear``): nats-server looks at every subject of the filter for each.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from common.broker import Broker, BrokerError, Message, Stored, with_id
from common.content import BodyRef
from common.controls.control import Action, Control
from common.controls.controls import Controls
from common.entry import Entry
from common.event import Event, pack_columns, without_defaults
from common.queue import progress, reports
from common.queue.bodies import Bodies
from common.queue.moving import back, hold_reason, put_all, to_held
from common.queue.progress import Found, Progress, Stretch
from common.queue.schedule import is_due
from common.subjects import READY, SCHEDULED, Kind, events, queue_stream

#: Rows and bytes of rows that one message may have.
ROWS, ROWS_BYTES = 2500, 2**20
#: A schedule that is due within so many seconds may fire before it is moved.
FIRING = 60.0
#: Reports made at the same time: each holds the beginning of its mail.
REPORTS = 20

#: Makes the report on an entry that was stopped: its stored message, the entry, the row; None where nobody is told.
Report = Callable[[Stored, Entry, Event], Awaitable[Entry | None]]


@dataclass(eq=False)
class Job:
    """The work on one order."""

    order: Control
    progress: Progress
    busy: frozenset[str] = frozenset()
    skipped: bool = False
    """Something was on its way: it is looked for again."""
    told: set[str] = field(default_factory=set)
    """Deliveries that were told of while they were scheduled, and may fire before they are moved."""
    gone: list[int] = field(default_factory=list)
    """Sequences of what is to be removed from the queue."""
    contents: set[str] = field(default_factory=set)
    """Submissions whose shared content may have lost its last entry."""

    def purges(self, kind: Kind) -> bool:
        """Whether a filter selects all of a kind that is to be removed, and nothing else."""
        return self.order.match.is_exact and (kind == READY or not self.busy)

    def removes(self, kind: Kind) -> bool:
        """Whether anything is to be removed: what is held or scheduled goes when its new message is stored."""
        return not self.order.released and (kind == READY or self.order.action is Action.STOP)


class Carrier:
    """Moves what pages have. ``report`` is for those who are to be told."""

    def __init__(self, broker: Broker, report: Report | None = None) -> None:
        self.broker, self._report = broker, report
        self.pauses: Callable[[], Iterable[Control]] = tuple
        """The pauses that are in force."""

    async def move(self, job: Job, stretch: Stretch, first: int, last: int, found: list[Found], *, again: bool) -> None:
        """One page; ``again``: it was begun before a crash. Raises what the broker raises."""
        ours = [one for one in found if one.delivery not in job.busy]
        job.skipped = job.skipped or len(ours) < len(found)
        others = Controls(self.pauses() if job.order.released else ())
        news = [one for one in ours if one.delivery not in job.told and not (one.entry and others.match(one.entry))]
        if not again:
            stretch.pages = [page for page in stretch.pages if page[0] < last] + [(last, len(news))]
            await self.save(job)
        await self._tell(job, stretch, news, first, last)
        if stretch.kind == SCHEDULED:
            soon = time.time() + FIRING
            job.told |= {one.delivery for one in ours if is_due(one.stored.headers, soon)}
        if job.order.released:
            await self._bring_back(ours, others)
        elif job.order.action is Action.PAUSE:
            await self._hold(job, found if stretch.kind == READY else ours)
        else:
            await self._stop(job, stretch, found, ours, news)
        if job.removes(stretch.kind):
            job.gone += [one.stored.sequence for one in (found if stretch.kind == READY else ours)]

    async def clear(self, job: Job, stretch: Stretch) -> None:
        """Remove what the pages of a stretch leave behind, and count them. Raises what the broker raises."""
        if job.gone:
            await self._remove(job, stretch)
        bodies = Bodies(self.broker, stretch.pool)
        await _gently(bodies.release(submission) for submission in job.contents)
        job.gone, job.contents, job.progress.stretch = [], set(), None
        if not stretch.pages:
            return
        count = sum(told for _, told in stretch.pages)
        if job.order.released:
            job.progress.returned += count
        else:
            job.progress.moved += count
        await self.save(job)

    # --- how ---

    async def _bring_back(self, found: list[Found], others: Controls) -> None:
        """On their way again, or under another order that holds them too."""
        now = time.time()

        def message(one: Found) -> Message:
            other = others.match(one.entry) if one.entry else None
            return to_held(one.stored, one.entry, other, hold_reason(other)) if other else back(one.stored, now)

        await put_all(self.broker, map(message, found))

    async def _hold(self, job: Job, found: list[Found]) -> None:
        reason = hold_reason(job.order)
        await put_all(self.broker, (to_held(one.stored, one.entry, job.order, reason) for one in found))

    async def _stop(
        self, job: Job, stretch: Stretch, found: list[Found], ours: list[Found], news: list[Found]
    ) -> None:
        if job.order.report:
            await self._send_reports(job, stretch, news)
        if stretch.kind == READY:  # what is on its way is kept until its worker has ended it
            await self._hold(job, [one for one in found if one.delivery in job.busy])
        job.contents |= {one.entry.submission for one in ours if one.entry and isinstance(one.entry.content, BodyRef)}

    async def _send_reports(self, job: Job, stretch: Stretch, found: list[Found]) -> None:
        columns = progress.rows(job.order, stretch.pool, found)
        rows = (Event(**{name: values[i] for name, values in columns.items()}) for i in range(len(found)))
        await _gently((self._send_report(one, row) for one, row in zip(found, rows, strict=True)), REPORTS)

    async def _send_report(self, one: Found, row: Event) -> None:
        if self._report and one.entry and (report := await self._report(one.stored, one.entry, row)):
            await self.store(reports.stored(report))
            await self.store(reports.accepted(report))

    async def _remove(self, job: Job, stretch: Stretch) -> None:
        """One purge up to the last where the filter selects nothing else, else one by one."""
        stream = queue_stream(stretch.pool)
        if job.purges(stretch.kind):
            filter_ = job.order.match.filter(stretch.kind, stretch.pool)
            await self.broker.purge(stream, filter_, before=job.gone[-1] + 1)
        else:
            await _gently(self.broker.remove(stream, sequence) for sequence in job.gone)

    # --- what is stored ---

    async def _tell(self, job: Job, stretch: Stretch, found: Sequence[Found], first: int, last: int) -> None:
        """In one message, or in more where they are many or large: whoever repeats it divides at the same places."""
        if not found:
            return
        body = b""
        if len(found) <= ROWS or first == last:
            columns = progress.rows(job.order, stretch.pool, found)
            body = pack_columns(len(found), without_defaults(len(found), columns))
        if body and (len(body) <= ROWS_BYTES or first == last):
            identifier = f"{job.order.id}.{job.order.released}.{stretch.pool}.{stretch.kind}.{first}.{last}"
            await self.store(with_id(events(stretch.pool), body, identifier))
            return
        middle = (first + last) // 2
        left = [one for one in found if one.stored.sequence <= middle]
        right = [one for one in found if one.stored.sequence > middle]
        await asyncio.gather(  # one is made while the broker stores the other
            self._tell(job, stretch, left, first, middle), self._tell(job, stretch, right, middle + 1, last)
        )

    async def save(self, job: Job) -> None:
        """Store how far it is."""
        await self.store(progress.stored(job.order, job.progress))

    async def store(self, message: Message) -> None:
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
