"""How an attempt ends: delivered, tried again, given up, stopped, not made, or put off until it makes sense."""

import time

from common.classify.classifier import Classifier
from common.controls.control import Action, Control
from common.entry import Entry
from common.event import Event
from common.queue.finish import Finisher
from common.queue.taken import Taken
from common.suppression.suppression import Suppression
from outbound import notify
from outbound.budget import Budget
from outbound.delays import Delays
from outbound.failure import DeliveryFailure, temporary
from outbound.learn import Learner
from outbound.orders import Orders
from outbound.record import Attempt
from outbound.reporter import Reporter
from outbound.retry import next_attempt
from outbound.site import Delivered
from outbound.suppress import Suppressor
from outbound.ways import Way, Ways


class Endings:
    """Ends attempts. ``memory`` bounds the bytes of large messages, which reports hold too."""

    def __init__(
        self,
        finisher: Finisher,
        reporter: Reporter,
        delays: Delays,
        ways: Ways,
        learner: Learner,
        orders: Orders,
        memory: Budget,
        suppressor: Suppressor,
    ) -> None:
        self._finisher, self._reporter, self._delays, self._ways = finisher, reporter, delays, ways
        self._learner, self._orders, self._memory = learner, orders, memory
        self._suppressor = suppressor

    @property
    def classifier(self) -> Classifier:
        """For the rows of attempts that fail."""
        return self._learner.classifier

    async def delivered(self, taken: Taken, attempt: Attempt, result: Delivered) -> None:
        """The next hop took it over."""
        row, report = attempt.delivered(result), None
        if notify.of_relaying(taken.entry, result.offered):
            report = await self._reporter.relayed(taken, row)
        await self._finisher.done(taken, row, report, self._suppressor.delivered(taken.entry))

    async def suppressed(self, taken: Taken, attempt: Attempt, found: Suppression) -> None:
        """Its recipient was suppressed while it waited: it is not tried. Without room its sender is not told."""
        if not self._may_end(taken):
            return
        attempt.number -= 1
        row = attempt.suppressed(found)
        async with self._memory.use(taken.entry.size):
            told = self._suppressor.tells and self._reporter.has_room(taken.entry)
            report = await self._reporter.about(taken, row) if told else None
        await self._finisher.done(taken, row, report)

    async def failed(self, taken: Taken, attempt: Attempt, failure: DeliveryFailure, way: Way | None) -> None:
        """An attempt failed; ``way`` is None where it found none."""
        if not self._may_end(taken):
            return
        policy = way.policy if way else self._ways.policy(taken.entry.domain)
        retry = await self._learner.learn(failure, way) if way else 0
        expires = self._ways.expires(taken.entry, policy)
        at = None if failure.permanent else next_attempt(expires, attempt.number, time.time(), policy)
        if at and retry:
            at = min(time.time() + retry, expires)
        if at is None:
            await self._undeliverable(taken, attempt, failure)
        elif (order := self._orders.over(taken)) and order.action is Action.STOP:
            await self._stopped(taken, attempt, order)
        else:
            later = taken.entry.but(
                attempts=attempt.number, last_reply=str(failure), last_host=failure.said_by, put_off=""
            )
            await self._defer(taken, attempt.deferred(failure, at), later, at, expires)

    async def expired(self, taken: Taken, attempt: Attempt) -> None:
        """It is too old to be tried."""
        if self._may_end(taken):
            await self._undeliverable(taken, attempt)

    async def delayed(self, taken: Taken, attempt: Attempt) -> None:
        """Its sender is to be told that it is delayed, which is no attempt."""
        if self._may_end(taken):
            attempt.number -= 1
            at = max(taken.entry.next_try, time.time())
            told = temporary("4.4.7", "not delivered yet, which its sender is told", phase="report", reason="delayed")
            expires = self._ways.expires(taken.entry, self._ways.policy(taken.entry.domain))
            await self._defer(taken, attempt.deferred(told, at), taken.entry, at, expires)

    async def put_off(
        self, taken: Taken, attempt: Attempt, failure: DeliveryFailure, wait: float, way: Way, reason: str
    ) -> None:
        """It is not tried for so many seconds, which is no attempt and makes no later delay longer.

        ``reason``: whose end it waits for, as ``Entry.put_off`` names it.
        """
        if self._may_end(taken):
            attempt.number -= 1
            expires = self._ways.expires(taken.entry, way.policy)
            at = min(time.time() + wait, expires)
            later = taken.entry.but(last_reply=str(failure), last_host=failure.said_by, put_off=reason)
            await self._defer(taken, attempt.deferred(failure, at), later, at, expires)

    async def _defer(self, taken: Taken, row: Event, later: Entry, at: float, expires: float) -> None:
        """Try again at a time, with a report on the delay where one is due."""
        report = None
        if self._delays.are_due(later):
            async with self._memory.use(later.size):
                later, report = await self._delays.report(taken, row, later, expires)
        later, at = self._delays.schedule(later, at)
        await self._finisher.defer(taken, row, later, at, report)

    def _may_end(self, taken: Taken) -> bool:
        """Whether the entry is still ours, and no order's."""
        return (taken.begun or taken.begin()) and self._orders.may_end(taken)

    async def _undeliverable(self, taken: Taken, attempt: Attempt, failure: DeliveryFailure | None = None) -> None:
        """It has failed, or expired, which its sender is told. Until there is room for that it stays and waits."""
        async with self._memory.use(taken.entry.size):
            if not self._reporter.has_room(taken.entry):
                await self._wait_for_room(taken, attempt, failure)
                return
            row = attempt.bounced(failure) if failure else attempt.expired()
            report = await self._reporter.about(taken, row)
        await self._finisher.done(taken, row, report, self._suppressor.failed(row, taken.entry.pool))

    async def _wait_for_room(self, taken: Taken, attempt: Attempt, failure: DeliveryFailure | None) -> None:
        """A store filled up with reports would take no outcome any more, and so never become empty again."""
        why = f"no room for the report that it {f'failed: {failure}' if failure else 'expired'}"
        full = temporary("4.3.1", why, phase="report", reason="full", code=452)
        later = taken.entry.but(last_reply=taken.entry.last_reply or str(full), put_off="")
        if failure:
            later = later.but(last_reply=str(failure), last_host=failure.said_by)
        at = time.time() + self._ways.policy(taken.entry.domain).retry_first
        await self._finisher.defer(taken, attempt.deferred(full, at), later, at)

    async def _stopped(self, taken: Taken, attempt: Attempt, order: Control) -> None:
        """It was on its way when it was stopped, and it would have to be tried again."""
        row = attempt.stopped(order)
        has_room = order.report and self._reporter.has_room(taken.entry)
        await self._finisher.done(taken, row, await self._reporter.about(taken, row) if has_room else None)
