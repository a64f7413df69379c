"""What a crash or a full disk left behind, put right by whoever holds the sweeper's lease."""

import asyncio
import contextlib
import time
from datetime import datetime

import structlog

from common.broker import Broker, BrokerError, Message, NoBrokerError, Stored, UnknownOutcomeError
from common.ids import SUBMISSION, id_time
from common.queue.bodies import Bodies
from common.queue.listing import walk
from common.subjects import BODY_STREAM, SCHEDULED, body, queue_stream

log = structlog.get_logger()

#: A schedule that should have fired so long ago is stuck: the broker forgets one whose firing failed once.
OVERDUE = 60.0


class Sweeper:
    """Sweeps one pool. ``every`` and ``orphan_age`` in seconds."""

    def __init__(self, broker: Broker, pool: str, every: float = 60.0, orphan_age: float = 3600.0) -> None:
        self.broker, self.pool = broker, pool
        self.bodies = Bodies(broker, pool)
        self.every, self.orphan_age = every, orphan_age

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                await self.sweep()
            except (BrokerError, NoBrokerError, UnknownOutcomeError) as error:
                log.debug("sweeper: %s", error)
            await asyncio.sleep(self.every)

    async def sweep(self) -> tuple[int, int]:
        """One round; how many schedules were published again and how many contents removed."""
        now = time.time()
        fired = await self._fire_overdue(now)
        removed = await self._remove_orphans(now)
        if fired or removed:
            log.info("sweeper: %s overdue schedules sent again, %s contents without entries removed", fired, removed)
        return fired, removed

    async def _fire_overdue(self, now: float) -> int:
        count = 0
        stream = queue_stream(self.pool)
        async for stored in walk(self.broker, stream, f"{SCHEDULED}.{self.pool}.>"):
            due = stored.headers.get("Nats-Schedule", "").removeprefix("@at ")
            if due and datetime.fromisoformat(due).timestamp() < now - OVERDUE:
                count += await self._fire(stored)
        return count

    async def _fire(self, stored: Stored) -> int:
        """Publish a schedule again as it is; refused (10071) means that it has fired meanwhile."""
        keep = ("Nats-Schedule", "Nats-Schedule-Target", "Nats-Schedule-Rollup")
        headers = {name: value for name, value in stored.headers.items() if name in keep}
        headers["Nats-Expected-Last-Subject-Sequence"] = str(stored.sequence)
        try:
            await self.broker.put(Message(stored.subject, stored.body, headers))
        except BrokerError as error:
            if error.code not in BrokerError.WRONG_SEQUENCE:
                raise
            return 0
        return 1

    async def _remove_orphans(self, now: float) -> int:
        count = 0
        subjects = await self.broker.subjects(BODY_STREAM, f"{body(self.pool, '>')}")
        for submission in {subject.split(".")[2] for subject in subjects}:
            if SUBMISSION.fullmatch(submission) and id_time(submission) < now - self.orphan_age:
                with contextlib.suppress(UnknownOutcomeError):
                    count += await self.bodies.release(submission)
        return count
