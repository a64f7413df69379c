"""The figures that nobody counts: asked of the broker and of ClickHouse when somebody wants to know them."""

import asyncio
import time
from collections.abc import Iterable

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api import clickhouse
from common import metrics
from common.broker import Broker, BrokerFailure
from common.counting import Metric
from common.entry import FEEDBACK_POOL
from common.queue import leases, levels, pools
from common.queue.levels import Level
from common.queue.room import Room
from common.role import Role
from common.subjects import EVENTS_STREAM, HOOKS_STREAM, hooks

log = structlog.get_logger()

#: Seconds that the broker has to answer all of it.
PATIENCE = 4.0
#: The levels of a long queue keep the broker busy; they are asked for so seldom that it is a fiftieth of its time.
REST = 50


class Asked(Collector):
    """Figures of one moment."""

    def __init__(self) -> None:
        self._families: dict[str, GaugeMetricFamily] = {}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """What prometheus-client wants to know."""
        return self._families.values()

    def add(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value."""
        if metric.name not in self._families:
            self._families[metric.name] = GaugeMetricFamily(metric.name, metric.text, labels=metric.labels)
        self._families[metric.name].add_metric(labels, value)


class Figures:
    """Asks for figures; what does not answer is left out."""

    def __init__(self, role: Role, room: Room) -> None:
        self._broker: Broker = role.broker
        self._pools, self._servers, self._room = role.config.queues, role.servers, room
        self._webhooks = role.config.webhook_names
        self._levels: dict[str, dict[str, Level]] = {}
        self._levels_until = 0.0

    async def ask(self) -> Asked:
        """All of them, within PATIENCE seconds."""
        asked = Asked()
        up, _ = await asyncio.gather(clickhouse.answers(self._servers.clickhouse_url), self._ask_broker(asked))
        asked.add(metrics.UP, up, "clickhouse")
        return asked

    async def _ask_broker(self, asked: Asked) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._store(asked)
                await self._events(asked)
                known = [*self._pools, *await pools.left_behind(self._broker, self._pools)]
                await self._processes(asked, known)
                await self._queue(asked, known)
                for name in self._webhooks:
                    waiting = await levels.level(self._broker, HOOKS_STREAM, hooks("*", name))
                    asked.add(metrics.WEBHOOKS_WAITING, waiting.count, name)
        except (BrokerFailure, TimeoutError) as error:
            log.debug("figures: broker: %s", error or "no answer")
            asked.add(metrics.UP, 0, "broker")
        else:
            asked.add(metrics.UP, 1, "broker")

    async def _store(self, asked: Asked) -> None:
        await self._room.look()
        usage = self._room.usage
        asked.add(metrics.QUEUE_STORE_BYTES, usage.used)
        asked.add(metrics.QUEUE_STORE_LIMIT, usage.limit)
        asked.add(metrics.QUEUE_ROOM, self._room.intake)
        asked.add(metrics.EVENTS_WAITING_BYTES, usage.events)
        asked.add(metrics.EVENTS_LIMIT, usage.max_events)

    async def _events(self, asked: Asked) -> None:
        waiting = await levels.level(self._broker, EVENTS_STREAM, "e.>")
        asked.add(metrics.EVENTS_LAG, _age(waiting))

    async def _processes(self, asked: Asked, known: list[str]) -> None:
        for pool in (pool for pool in known if pool != FEEDBACK_POOL):
            asked.add(metrics.WORKERS, len(await leases.live(self._broker, f"worker.{pool}")), pool)
        asked.add(metrics.RECORDERS, bool(await leases.holder(self._broker, "recorder")))

    async def _queue(self, asked: Asked, known: list[str]) -> None:
        started = time.monotonic()
        if started >= self._levels_until:
            self._levels = {pool: await levels.of_pool(self._broker, pool) for pool in known}
            now = time.monotonic()
            self._levels_until = now + REST * (now - started)
        for pool, states in self._levels.items():
            for state, level in states.items():
                asked.add(metrics.QUEUE_ENTRIES, level.count, pool, state)
                asked.add(metrics.QUEUE_OLDEST, _age(level), pool, state)


def _age(level: Level) -> float:
    return max(0.0, time.time() - level.oldest) if level.count else 0.0
