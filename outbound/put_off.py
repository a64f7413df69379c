"""Mail that waits for the end of a suspension or an outage: parked where there is room, else put off in the queue.

Neither is an attempt, and neither makes a later delay longer. What is put off goes on when the end comes before the
time that was foreseen: a suspension that a person lifts (``holds.lift``, then ``retry.go_on``), a site that is up.
"""

import asyncio
import time
from collections.abc import Iterable

import structlog

from common.broker import BrokerFailure
from common.queue.retry import go_on
from common.queue.take import Taker
from common.queue.taken import Taken
from common.subjects import SCHEDULED, domain, selected
from outbound.ending import Endings
from outbound.failure import temporary
from outbound.learn import described
from outbound.park import MAX_PARKED, Park
from outbound.record import Attempt
from outbound.site import Site
from outbound.ways import Way, Ways

log = structlog.get_logger()

#: Who has to wait longer (seconds) waits in the queue, as a schedule, where the park is half full.
PATIENCE = 10.0
#: Sites and domains of each that are known to have mail there; of a site with more of them all is looked through.
MAX_SITES, MAX_DOMAINS = 1000, 100


class PutOff:
    """Lets mail wait for one worker."""

    def __init__(self, taker: Taker, park: Park, ways: Ways, endings: Endings) -> None:
        self._taker, self._park, self._ways, self._endings = taker, park, ways, endings
        self._down: dict[Site, tuple[float, set[str]]] = {}
        """Until when (monotonic clock) mail for which domains was put off."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def wait(self, taken: Taken, way: Way, site: Site, wait: float, attempt: Attempt) -> None:
        """Let it wait for so many seconds, or until the end comes."""
        failure, reason = site.down_failure, _down(site)
        why = f"its site to be up again: {failure}"
        hold = way.suspended if way.wait else None
        if hold:
            text = f"{described(hold)} by reply rule {hold.rule}: {hold.why}"
            failure, reason = temporary("4.7.0", text, phase="route", reason="suspended"), hold.key
            why = f"the end of a suspension: {text}"
        assert failure
        if wait <= PATIENCE or self._park.parked < MAX_PARKED // 2:
            self._park.hold(way, site, wait, why)
            self._park.push(taken, way, site)
            return
        entry = taken.entry
        if not hold:
            self._remember(site, entry.domain, wait)
        await self._endings.put_off(taken, attempt, failure, wait, way, reason)
        now = self._ways.way(entry.domain, way.route, way.source)
        if not (now.wait if hold else site.down):  # it ended meanwhile, and whoever looked may not have found this one
            await self._go_on(reason, [selected(SCHEDULED, self._taker.pool, id_=entry.id)])

    def up(self, site: Site) -> None:
        """A site is up again, which may be earlier than was foreseen."""
        self._park.look_again(site)
        until, domains = self._down.pop(site, (0.0, set[str]()))
        if until > time.monotonic() + 1:
            pool = self._taker.pool
            filters = [domain(pool, name, SCHEDULED) for name in domains]
            task = asyncio.create_task(
                self._go_on(_down(site), filters if len(filters) <= MAX_DOMAINS else [f"{SCHEDULED}.{pool}.>"])
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _remember(self, site: Site, name: str, wait: float) -> None:
        now = time.monotonic()
        if len(self._down) >= MAX_SITES:
            self._down = {one: (until, domains) for one, (until, domains) in self._down.items() if until > now}
        until, domains = self._down.get(site, (0.0, set[str]()))
        self._down[site] = max(until, now + wait), domains | {name} if len(domains) <= MAX_DOMAINS else domains

    async def _go_on(self, reason: str, filters: Iterable[str]) -> None:
        try:
            moved = sum([count async for count in go_on(self._taker.broker, {self._taker.pool: filters}, reason)])
            log.info("%s: %s deliveries that were put off go on", reason, moved)
        except BrokerFailure as error:
            log.warning("%s: what was put off goes on later: %s", reason, error)


def _down(site: Site) -> str:
    return f"down:{site.key}" + (f"|source:{site.source}" if site.source else "")
