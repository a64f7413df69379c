"""Watches the embedded nats-server: one that can store nothing any more is started anew.

A stream whose write failed once (disk full, read-only) answers no publish from then on, not even when the
disk takes writes again; where permission was denied all of JetStream goes. Only a restart mends that, and
only nats-server's report of its health tells of it.
"""

import asyncio
import json
from pathlib import Path

import structlog

from common.broker import Broker, BrokerFailure, NoBrokerError
from common.units import format_size
from master.child import Child
from master.data_dir import obstacle

log = structlog.get_logger()

INTERVAL = 2.0
#: Seconds that nats-server has to end.
STOP = 30.0


class NatsWatch:
    """``broker`` is the system account's, not connected yet; ``store`` the folder, which needs ``room`` bytes free."""

    def __init__(self, server: Child, broker: Broker, store: Path, room: int) -> None:
        self.server, self.broker, self.store, self.room = server, broker, store, room

    async def run(self) -> None:
        """Watch for ever."""
        try:
            await self._connect()
            while True:
                if failure := await self._failure():
                    await self._mend(failure)
                await asyncio.sleep(INTERVAL)
        finally:
            await self.broker.close()

    async def _connect(self) -> None:
        while True:
            try:
                return await self.broker.connect()
            except NoBrokerError:
                log.debug("nats-server does not answer; asked again")

    async def _failure(self) -> str:
        """Why nats-server can store nothing any more; nothing while it can or does not answer."""
        try:
            reply = await self.broker.request("$SYS.REQ.SERVER.PING.HEALTHZ", b'{"details": true}', timeout=2.0)
        except BrokerFailure:
            return ""
        for error in json.loads(reply.data)["data"].get("errors", ()):
            if error["type"] == "JETSTREAM" or "write error" in error["error"]:
                return str(error["error"])
        return ""

    async def _mend(self, failure: str) -> None:
        """A restart before there is room would only fail in the same way, and take the readers' server too."""
        log.error(
            "nats-server can store nothing any more: %s; mail is refused and waits until %s can be written and %s are "
            "free; see to that, the rest happens by itself", failure, self.store, format_size(self.room),
        )  # fmt: skip
        while True:
            await asyncio.sleep(INTERVAL)
            if not await asyncio.to_thread(obstacle, self.store, self.room):
                break
        log.warning("nats-server: there is room in %s; it is started anew", self.store)
        await self.server.end(STOP)
        await asyncio.sleep(INTERVAL)
