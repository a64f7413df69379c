"""Room to finish: intake stops at 80 % of the store or half of EVENTS, workers may use the rest."""

import asyncio
from dataclasses import dataclass

import structlog

from common.broker import Broker, BrokerFailure
from common.subjects import EVENTS_STREAM
from common.units import format_size

log = structlog.get_logger()

INTAKE_PART, EVENTS_PART = 0.8, 0.5
INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used of the store and of EVENTS, in bytes, and how much may be."""

    used: int
    limit: int
    events: int
    max_events: int

    @property
    def full(self) -> bool:
        """The rest of the store belongs to workers."""
        return self.used >= INTAKE_PART * self.limit

    @property
    def behind(self) -> bool:
        """The rest of EVENTS belongs to workers."""
        return self.max_events > 0 and self.events >= EVENTS_PART * self.max_events


async def look(broker: Broker, max_store: int) -> Usage:
    """Ask the broker. Raises what ``Broker.api`` raises."""
    account = await broker.api("INFO")
    events = await broker.api(f"STREAM.INFO.{EVENTS_STREAM}")
    return Usage(account["storage"], max_store, events["state"]["bytes"], events["config"]["max_bytes"])


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
                self._judge(await look(self.broker, self.max_store))
            except BrokerFailure:
                log.debug("room: broker does not answer")
            await asyncio.sleep(INTERVAL)

    def _judge(self, usage: Usage) -> None:
        if self.intake and usage.full:
            log.warning(
                "queue: %s of %s used; new mail is answered 452 until there is room (nats.max_store)",
                format_size(usage.used), format_size(usage.limit),
            )  # fmt: skip
        elif self.intake and usage.behind:
            log.warning("queue: %s of events wait for ClickHouse; new mail is answered 452", format_size(usage.events))
        elif not self.intake and not usage.full and not usage.behind:
            log.info("queue: room again; new mail is taken")
        self.intake = not usage.full and not usage.behind
