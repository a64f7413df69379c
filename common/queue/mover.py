"""The mover: takes out of the queue what is under an order, and brings it back. Active once, by lease.

It begins when every live worker has confirmed the order: from then on nothing under it goes out, but for mail that was
on its way (``busy``), whose worker ends it and takes the held copy away. It goes stretch by stretch
(``common.queue.stretches``).
"""

import asyncio
import time
from collections import defaultdict

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerFailure
from common.controls import confirm, store
from common.controls.control import Action, Control
from common.controls.watch import MET
from common.entry import FEEDBACK_POOL
from common.queue import pools, progress
from common.queue.carrier import Carrier, Job, Report
from common.queue.stretches import Stretches
from common.subjects import HELD, READY, SCHEDULED, Kind
from common.waits import wait

log = structlog.get_logger()

#: Seconds between looks.
EVERY = 1.0


class Mover:
    """Moves the entries of all pools. ``report`` is for those who are to be told."""

    def __init__(self, broker: Broker, pools: list[str], report: Report | None = None) -> None:
        self.broker, self.pools = broker, pools
        self._carrier = Carrier(broker, report)
        self._carrier.pauses = self._pauses
        self._stretches = Stretches(broker, self._carrier, self._goes_on)
        self._orders: dict[str, Control] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._swept: set[str] = set()
        self._told: dict[str, set[str]] = defaultdict(set)
        """Deliveries that were told of while they were scheduled, and may fire before they are moved."""
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Listen for orders, and for workers that met mail under one."""
        await self.broker.subscribe(store.SUBJECTS, self._on_notice)
        await self.broker.subscribe(f"{MET}.*", self._on_met)

    async def run(self) -> None:
        """Move for ever."""
        self._swept.clear()
        self._stretches.forget()
        try:
            while True:
                self._wake.clear()
                try:
                    await self._look()
                except BrokerFailure as error:
                    log.debug("mover: %s", error)
                await wait(self._wake, EVERY)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._stretches.forget()

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
        await self._stretches.repeat(job)
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
            self._stretches.forget(job.order)
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
            self._stretches.forget(job.order)
        job.busy = (await confirm.wait(self.broker, job.order.revision)).busy
        await self._stretches.repeat(job)
        while await self._sweep(job, [HELD]):
            pass
        if job.skipped:
            self._stretches.forget(job.order)
            return  # a copy of what was on its way: its worker takes it away
        by = job.order.ended_by or job.order.by
        await self._carrier.store(progress.told(job.order, "resume", by, job.progress.returned))
        log.info("order %s: over, %s deliveries resumed", job.order.id, job.progress.returned)
        job.progress.over = True
        await self._carrier.save(job)
        await store.remove(self.broker, job.order)
        self._stretches.forget(job.order)
        self._told.pop(job.order.id, None)

    async def _sweep(self, job: Job, kinds: list[Kind]) -> int:
        known = await pools.known(self.broker, self.pools)  # those too that were taken out of the configuration
        # no order is about feedback, which is nobody's mail
        return await self._stretches.sweep(job, [pool for pool in known if pool != FEEDBACK_POOL], kinds)

    def _goes_on(self, job: Job) -> bool:
        return job.order.released or not self._is_over(job)

    def _pauses(self) -> list[Control]:
        return [order for order in self._orders.values() if order.action is Action.PAUSE and not order.released]
