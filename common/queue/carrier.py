"""What the mover does with a page: it tells of its entries, then holds them, ends them or brings them back.

A page is what one message of EVENTS tells of. It is stored first where the page ends and which row is its first, then
the rows, then its entries are moved: whoever comes after a crash repeats exactly that page, so nothing is told twice.
What has to be removed is removed for many pages at once (``clear``, ``common.queue.removing``).
"""

import time
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace

from common.broker import Broker, BrokerError, Message, Stored
from common.content import BodyRef
from common.controls.control import Action, Control
from common.controls.controls import Controls
from common.entry import Entry
from common.event import Event
from common.queue import progress, reports
from common.queue.bodies import Bodies
from common.queue.moving import back, hold_reason, put_all, to_held
from common.queue.progress import Found, Progress, Stretch
from common.queue.removing import Gone, gently
from common.queue.rows import columns_message
from common.queue.schedule import is_due
from common.subjects import READY, SCHEDULED

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
    gone: Gone = field(default_factory=Gone)
    """What is to be removed from the queue."""
    contents: set[str] = field(default_factory=set)
    """Submissions whose shared content may have lost its last entry."""

    def removes(self, stretch: Stretch) -> bool:
        """Whether anything is to be removed: what is held or scheduled goes when its new message is stored."""
        return not self.order.released and (stretch.kind == READY or self.order.action is Action.STOP)

    def takes(self, stretch: Stretch, delivery: str) -> bool:
        """Whether an entry is moved: one that is on its way only where a copy is held for its worker."""
        return stretch.kind == READY or delivery not in self.busy


@dataclass(frozen=True, slots=True)
class Page:
    """Entries that one message of EVENTS tells of."""

    found: list[Found]
    ours: list[Found]
    """But for those on their way."""
    news: list[Found]
    """Those that are told of."""
    others: Controls
    """Orders that hold what this one lets go."""
    rows: Message | None

    def only(self, there: Container[int]) -> "Page":
        """The same without what has gone; by sequence."""
        found, ours, news = (
            [one for one in some if one.stored.sequence in there] for some in (self.found, self.ours, self.news)
        )
        return replace(self, found=found, ours=ours, news=news)

    @property
    def first(self) -> int:
        """The sequence of its first entry."""
        return self.found[0].stored.sequence

    @property
    def last(self) -> int:
        """The sequence of its last entry."""
        return self.found[-1].stored.sequence

    @property
    def first_row(self) -> str:
        """The id of its first row."""
        return self.rows.headers["Nats-Msg-Id"] if self.rows else ""


class Carrier:
    """Moves what pages have. ``report`` is for those who are to be told."""

    def __init__(self, broker: Broker, report: Report | None = None) -> None:
        self.broker, self._report = broker, report
        self.pauses: Callable[[], Iterable[Control]] = tuple
        """The pauses that are in force."""

    def pages(self, job: Job, stretch: Stretch, found: list[Found]) -> Iterator[Page]:
        """Entries in as many pages as they need."""
        if not found:
            return
        page = self.page(job, stretch, found) if len(found) <= ROWS else None
        if page and (not page.rows or len(page.rows.body) <= ROWS_BYTES or len(found) == 1):
            yield page
            return
        middle = len(found) // 2
        yield from self.pages(job, stretch, found[:middle])
        yield from self.pages(job, stretch, found[middle:])

    def page(self, job: Job, stretch: Stretch, found: list[Found], first_row: str | None = None) -> Page:
        """One page; ``first_row``: it was begun before a crash, and told of, or not, under this id."""
        ours = [one for one in found if one.delivery not in job.busy]
        job.skipped = job.skipped or len(ours) < len(found)
        others = Controls(self.pauses() if job.order.released else ())
        news = [one for one in ours if one.delivery not in job.told and not (one.entry and others.match(one.entry))]
        if not news or first_row == "":
            return Page(found, ours, [], others, None)
        columns = progress.rows(job.order, stretch.pool, news, first_row or "")
        return Page(found, ours, news, others, columns_message(stretch.pool, columns))

    async def tell(self, job: Job, stretch: Stretch, page: Page, *, again: bool = False) -> None:
        """Tell of a page; ``again``: it was begun before a crash. Raises what the broker raises."""
        if not again:
            stretch.pages.append((page.first, page.last, len(page.news), page.first_row))
            await self.save(job)
        await self._tell(page)
        if stretch.kind == SCHEDULED:
            soon = time.time() + FIRING
            job.told |= {one.delivery for one in page.ours if is_due(one.stored.headers, soon)}

    async def move(self, job: Job, stretch: Stretch, page: Page) -> None:
        """Move what was told of. Raises what the broker raises."""
        if job.order.released:
            await self._bring_back(page)
        elif job.order.action is Action.PAUSE:
            await self._hold(job, page.found if stretch.kind == READY else page.ours)
        else:
            await self._stop(job, stretch, page)
        if job.removes(stretch):
            job.gone.add(one.stored for one in page.found if job.takes(stretch, one.delivery))

    async def clear(self, job: Job, stretch: Stretch) -> None:
        """Remove what the pages of a stretch leave behind, and count them. Raises what the broker raises."""
        if job.gone:
            await self._remove(job, stretch)
        bodies = Bodies(self.broker, stretch.pool)
        await gently(bodies.release(submission) for submission in job.contents)
        job.contents, job.progress.stretch = set(), None
        if not stretch.pages:
            return
        count = sum(told for _, _, told, _ in stretch.pages)
        if job.order.released:
            job.progress.returned += count
        else:
            job.progress.moved += count
        await self.save(job)

    # --- how ---

    async def _tell(self, page: Page) -> None:
        if page.rows:
            await self.store(page.rows)

    async def _bring_back(self, page: Page) -> None:
        """On their way again, or under another order that holds them too."""
        now = time.time()

        def message(one: Found) -> Message:
            other = page.others.match(one.entry) if one.entry else None
            return to_held(one.stored, one.entry, other, hold_reason(other)) if other else back(one.stored, now)

        await put_all(self.broker, map(message, page.ours))

    async def _hold(self, job: Job, found: list[Found]) -> None:
        reason = hold_reason(job.order)
        await put_all(self.broker, (to_held(one.stored, one.entry, job.order, reason) for one in found))

    async def _stop(self, job: Job, stretch: Stretch, page: Page) -> None:
        if job.order.report:
            await self._send_reports(job, stretch, page.news)
        if stretch.kind == READY:  # what is on its way is kept until its worker has ended it
            await self._hold(job, [one for one in page.found if one.delivery in job.busy])
        shared = (one.entry.submission for one in page.ours if one.entry and isinstance(one.entry.content, BodyRef))
        job.contents |= set(shared)

    async def _send_reports(self, job: Job, stretch: Stretch, found: list[Found]) -> None:
        columns = progress.rows(job.order, stretch.pool, found)
        rows = (Event(**{name: values[i] for name, values in columns.items()}) for i in range(len(found)))
        await gently((self._send_report(one, row) for one, row in zip(found, rows, strict=True)), REPORTS)

    async def _send_report(self, one: Found, row: Event) -> None:
        if self._report and one.entry and (report := await self._report(one.stored, one.entry, row)):
            await self.store(reports.stored(report))
            await self.store(reports.accepted(report))

    async def _remove(self, job: Job, stretch: Stretch) -> None:
        match = job.order.match
        sure = match.is_exact and (stretch.kind == READY or not job.busy)
        await job.gone.remove(self.broker, stretch.pool, match.filter(stretch.kind, stretch.pool), sure=sure)

    # --- what is stored ---

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
