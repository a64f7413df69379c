"""Room to finish: intake stops at 80 % of the store or half of EVENTS, reports at 90 %, outcomes may use the rest.

What the disk still gives is a limit as ``nats.max_store`` is one.
"""

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
#: Of these feedback may fill so much: strangers bring it, and must not keep out the mail of those who may relay.
STRANGERS_PART = 0.75
#: A report takes more room than what it ends; of EVENTS no more than a row that says it waits, so that is no limit.
REPORT_PART = 0.9
#: What has stopped begins again at so much of these limits: not with every mail that leaves.
RESUME = 0.9
INTERVAL = 1.0


def kept_free(config: Config) -> int:
    """Bytes of the store's disk that are not for mail: one and a half times the largest message, as in Postfix."""
    return max((listener.max_message for listener in config.listeners), default=0) * 3 // 2


@dataclass(frozen=True, slots=True)
class Disk:
    """Where a store on this machine lies, and how many bytes are to stay free there."""

    folder: Path
    kept: int

    @classmethod
    def of(cls, config: Config) -> "Disk | None":
        """The embedded store's; None where the store is another machine's."""
        return None if config.nats.url else cls(Path(config.data_dir), kept_free(config))


@dataclass(slots=True)
class Usage:
    """What is used of the store and of EVENTS, and how much may be; what is free on the disk. All in bytes."""

    used: int = 0
    limit: int = 0
    events: int = 0
    max_events: int = 0
    disk: Disk | None = None
    free: int = 0

    def obstacle(self, part: float = 1.0, more: int = 0) -> str:
        """What keeps new mail out, at ``part`` of the limits, were ``more`` bytes in; nothing when there is room."""
        if full := self.full(part * INTAKE_PART, more):
            return full
        if self.max_events > 0 and self.events >= part * EVENTS_PART * self.max_events:
            return f"{format_size(self.events)} of events wait for ClickHouse, half of what may"
        return ""

    def full(self, part: float, more: int = 0) -> str:
        """What says that so much of the store is used, or would be with ``more`` bytes; nothing when it is less."""
        if self.used + more >= part * self.limit:
            return f"{format_size(self.used)} of {format_size(self.limit)} used (nats.max_store)"
        if self.disk and self.used + more >= part * (self.used + self.free - self.disk.kept):
            return f"the disk of {self.disk.folder} has {format_size(self.free)} free; make room on it"
        return ""


async def look(broker: Broker, max_store: int, disk: Disk | None = None) -> Usage:
    """Ask the broker. Raises what ``Broker.api`` raises."""
    account = await broker.api("INFO")
    events = await broker.api(f"STREAM.INFO.{EVENTS_STREAM}")
    free = shutil.disk_usage(disk.folder).free if disk else 0
    return Usage(account["storage"], max_store, events["state"]["bytes"], events["config"]["max_bytes"], disk, free)


class Room:
    """Watches how full the store is. ``max_store`` in bytes. Who only watches is ``quiet``; others tell the log."""

    def __init__(self, broker: Broker, max_store: int, disk: Disk | None = None, *, quiet: bool = False) -> None:
        self.broker, self.max_store, self.disk, self.quiet = broker, max_store, disk, quiet
        self.obstacle = ""
        """What keeps new mail out; ``""`` while it is taken."""
        self.usage = Usage(limit=max_store)

    @property
    def intake(self) -> bool:
        """Whether new mail is taken."""
        return not self.obstacle

    def has(self, size: int, part: float = 1.0) -> bool:
        """Whether there is room for new mail of so many bytes, within ``part`` of the limits."""
        return self.intake and not self.usage.obstacle(part, size)

    async def watch(self) -> None:
        """Look once a second, for ever; what cannot be asked changes nothing."""
        while True:
            try:
                await self.look()
            except (BrokerFailure, OSError) as error:
                log.debug("room: %s", error)
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """See how full it is now. Raises what ``Broker.api`` raises."""
        self.usage = await look(self.broker, self.max_store, self.disk)
        self._judge()

    def took(self, entries: int, events: int) -> None:
        """So many bytes went in since the last look: nobody runs past a limit until the next."""
        self.usage.used += entries + events
        self.usage.events += events
        self.usage.free -= entries + events
        self._judge()

    def _judge(self) -> None:
        before, self.obstacle = self.obstacle, self.usage.obstacle(1.0 if self.intake else RESUME)
        if self.quiet or bool(before) == bool(self.obstacle):
            return
        if self.obstacle:
            log.warning("queue: %s; new mail is answered 452 until there is room", self.obstacle)
        else:
            log.info("queue: room again; new mail is taken")


class ReportRoom(Room):
    """The same for reports."""

    reports = True
    """Whether reports are made."""

    def _judge(self) -> None:
        full = self.usage.full(REPORT_PART * (1.0 if self.reports else RESUME))
        if self.reports and full:
            log.warning("queue: %s; mail that fails waits until there is room for its report", full)
        elif not self.reports and not full:
            log.info("queue: room for reports again")
        self.reports = not full
