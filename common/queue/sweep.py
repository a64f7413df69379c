"""What a crash or a full disk left behind, put right by whoever holds the sweeper's lease."""

import asyncio
import time
from datetime import datetime

import structlog

from common import metrics
from common.broker import Broker
from common.counting import count
from common.queue.bodies import Bodies
from common.queue.overdue import fire_overdue
from common.subjects import BODY_STREAM, SCHEDULED, body, queue_stream

log = structlog.get_logger()


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
        fired = await fire_overdue(self.broker, queue_stream(self.pool), f"{SCHEDULED}.{self.pool}.>", now)
        removed = 0
        if now >= self._next_orphans:
            self._next_orphans = now + self.orphan_age
            removed = await self._remove_orphans(now)
        count(metrics.QUEUE_SWEPT, self.pool, "schedules", by=fired)
        count(metrics.QUEUE_SWEPT, self.pool, "contents", by=removed)
        if fired or removed:
            log.info("sweeper: %s overdue schedules sent again, %s contents without entries removed", fired, removed)
        return fired, removed

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
