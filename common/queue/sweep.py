"""What a crash or a full disk left behind, put right by whoever holds the sweeper's lease."""

import asyncio
import time
from datetime import datetime

import structlog

from common.broker import Broker, BrokerError, Message, Stored
from common.queue.bodies import Bodies
from common.queue.listing import walk
from common.queue.schedule import is_due
from common.subjects import BODY_STREAM, SCHEDULED, body, queue_stream

log = structlog.get_logger()

#: A schedule that should have fired so long ago is stuck: the broker forgets one whose firing failed once.
OVERDUE = 60.0


class Sweeper:
    """Sweeps one pool. ``every`` and ``orphan_age`` in seconds; a round reads the whole backlog."""

    def __init__(self, broker: Broker, pool: str, every: float = 600.0, orphan_age: float = 3600.0) -> None:
        self.broker, self.pool = broker, pool
        self.bodies = Bodies(broker, pool)
        self.every, self.orphan_age = every, orphan_age
        self._next_orphans = 0.0

    async def run(self) -> None:
        """Sweep for ever; what goes wrong is tried again in the next round."""
        while True:
            try:
                await self.sweep()
            except Exception as error:
                log.warning("sweeper: %s", error)
            await asyncio.sleep(self.every)

    async def sweep(self) -> tuple[int, int]:
        """One round; how many schedules were published again and how many contents removed."""
        now = time.time()
        fired = await self._fire_overdue(now)
        removed = 0
        if now >= self._next_orphans:
            self._next_orphans = now + self.orphan_age
            removed = await self._remove_orphans(now)
        if fired or removed:
            log.info("sweeper: %s overdue schedules sent again, %s contents without entries removed", fired, removed)
        return fired, removed

    async def _fire_overdue(self, now: float) -> int:
        count = 0
        seen: set[str] = set()  # what is sent again and has not fired yet comes up again at the end
        async for stored in walk(self.broker, queue_stream(self.pool), f"{SCHEDULED}.{self.pool}.>"):
            if is_due(stored.headers, now - OVERDUE) and stored.subject not in seen:
                seen.add(stored.subject)
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
        # one subject of each submission will do; of chunks the last is the youngest
        for submission, subject in {subject.split(".")[2]: subject for subject in sorted(subjects, key=_chunk)}.items():
            stored = await self.broker.last(BODY_STREAM, subject)
            if stored and datetime.fromisoformat(stored.time).timestamp() < now - self.orphan_age:
                count += await self.bodies.release(submission)
        return count


def _chunk(subject: str) -> int:
    """The number of a chunk; content in one message has none."""
    last = subject.rpartition(".")[2]
    return int(last) if last.isdigit() else 0
