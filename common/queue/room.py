"""Room to finish: intake stops at 80 % of the store or half of EVENTS, workers may use the rest."""

import asyncio

import structlog

from common.broker import Broker, BrokerFailure
from common.subjects import EVENTS_STREAM
from common.units import format_size

log = structlog.get_logger()

INTAKE_PART, EVENTS_PART = 0.8, 0.5
INTERVAL = 1.0


class Room:
    """Watches how full the store is. ``max_store`` in bytes."""

    def __init__(self, broker: Broker, max_store: int) -> None:
        self.broker, self.max_store = broker, max_store
        self.intake = True
        """Whether new mail is taken."""

    async def watch(self) -> None:
        """Look once a second, for ever; what cannot be asked changes nothing."""
        while True:
            try:
                self._judge(*await self._look())
            except BrokerFailure:
                log.debug("room: broker does not answer")
            await asyncio.sleep(INTERVAL)

    async def _look(self) -> tuple[int, int, int]:
        account = await self.broker.api("INFO")
        events = await self.broker.api(f"STREAM.INFO.{EVENTS_STREAM}")
        return account["storage"], events["state"]["bytes"], events["config"]["max_bytes"]

    def _judge(self, used: int, events: int, max_events: int) -> None:
        full = used >= INTAKE_PART * self.max_store
        behind = max_events > 0 and events >= EVENTS_PART * max_events
        if self.intake and full:
            log.warning(
                "queue: %s of %s used; new mail is answered 452 until there is room (nats.max_store)",
                format_size(used), format_size(self.max_store),
            )  # fmt: skip
        elif self.intake and behind:
            log.warning("queue: %s of events wait for ClickHouse; new mail is answered 452", format_size(events))
        elif not self.intake and not full and not behind:
            log.info("queue: room again; new mail is taken")
        self.intake = not full and not behind
