"""Room to finish: intake stops at 80 % of the store or half of EVENTS, workers may use the rest."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.broker import Broker, BrokerFailure
from common.config import Config
from common.subjects import EVENTS_STREAM
from common.units import format_size

log = structlog.get_logger()

INTAKE_PART, EVENTS_PART = 0.8, 0.5
#: Intake that has stopped begins again below so much of what stopped it: not with every mail that leaves.
RESUME = 0.9
INTERVAL = 1.0


def reserve(config: Config) -> int:
    """Bytes that stay free on the disk of the store: one and a half times the largest message, as in Postfix."""
    return max((listener.max_message for listener in config.listeners), default=0) * 3 // 2


@dataclass(slots=True)
class _Look:
    """How full it is: bytes."""

    used: int
    events: int
    max_events: int
    free: int | None
    """On the store's disk; None where that is another machine's."""


class Room:
    """Watches how full the store is.

    ``max_store`` in bytes; ``disk`` is the folder of a store on this machine, ``kept_free`` bytes there are not for mail.
    """

    def __init__(self, broker: Broker, max_store: int, disk: Path | None = None, kept_free: int = 0) -> None:
        self.broker, self.max_store, self.disk, self.kept_free = broker, max_store, disk, kept_free
        self.intake = True
        """Whether new mail is taken."""
        self._last = _Look(0, 0, 0, None)

    async def watch(self) -> None:
        """Look once a second, for ever; what cannot be asked changes nothing."""
        while True:
            try:
                self._last = await self._look()
                self._judge()
            except BrokerFailure:
                log.debug("room: broker does not answer")
            await asyncio.sleep(INTERVAL)

    def took(self, entries: int, events: int) -> None:
        """So many bytes went in since the last look: what comes fast does not run past the limit."""
        self._last.used += entries + events
        self._last.events += events
        self._judge()

    async def _look(self) -> _Look:
        account = await self.broker.api("INFO")
        events = await self.broker.api(f"STREAM.INFO.{EVENTS_STREAM}")
        free = shutil.disk_usage(self.disk).free if self.disk else None
        return _Look(account["storage"], events["state"]["bytes"], events["config"]["max_bytes"], free)

    def _judge(self) -> None:
        obstacle = self._obstacle(1 if self.intake else RESUME)
        if self.intake and obstacle:
            log.warning("queue: %s; new mail is answered 452 until there is room", obstacle)
        elif not self.intake and not obstacle:
            log.info("queue: room again; new mail is taken")
        self.intake = not obstacle

    def _obstacle(self, part: float) -> str:
        """What is too full, at ``part`` of the limits; nothing when there is room."""
        used, events, max_events, free = self._last.used, self._last.events, self._last.max_events, self._last.free
        if used >= part * INTAKE_PART * self.max_store:
            return f"{format_size(used)} of {format_size(self.max_store)} used (nats.max_store)"
        if max_events > 0 and events >= part * EVENTS_PART * max_events:
            return f"{format_size(events)} of events wait for ClickHouse (half of what they may use)"
        # what the disk still gives is a limit as max_store is one
        if free is not None and used >= part * INTAKE_PART * (used + free - self.kept_free):
            return f"the disk of {self.disk} has {format_size(free)} left; make room on it"
        return ""
