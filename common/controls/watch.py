"""The orders as one worker obeys them: known before its first entry, and a change within a second.

What it has read it confirms by a lease, ``controls.<pool>.<slot>``, together with the deliveries under an order
whose mail was on its way already. Those it ends itself; all others are the mover's (``common.queue.mover``).
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerFailure
from common.controls import store
from common.controls.control import Control
from common.controls.controls import Controls
from common.entry import Entry
from common.queue import leases
from common.waits import wait

log = structlog.get_logger()

#: Seconds between looks; a change is told, so this is for what was not.
EVERY = 0.5
#: Looks, and seconds between them, for a change that was told and is not stored yet.
SOON, SOON_EVERY = 20, 0.02
#: Who met mail under an order says so on ``postjet.met.<order>``, at most once in so many seconds.
MET, MET_EVERY = "postjet.met", 0.5


async def _nothing() -> None:
    pass


class Watcher:
    """The orders of one worker. ``busy`` gives the entries whose attempt it will end itself."""

    def __init__(self, broker: Broker, pool: str, slot: str, incarnation: str) -> None:
        self.broker, self.incarnation = broker, incarnation
        self.busy: Callable[[], Iterable[Entry]] = tuple
        self.on_change: Callable[[], Awaitable[None]] = _nothing
        """Told when the orders have changed."""
        self._key = f"controls.{pool}.{slot}"
        self._revision = -1, -1
        self._in_force, self._all = Controls(), Controls()
        self._confirmed, self._confirmed_at = "", float("-inf")
        self._wake = asyncio.Event()
        self._soon = 0
        self._met: dict[str, float] = {}

    def order(self, entry: Entry) -> Control | None:
        """The order that an entry is under: it is not to go out."""
        return self._in_force.match(entry)

    def may_be_held(self, entry: Entry) -> bool:
        """Whether the mover may have made a held copy of an entry, which its end has to take away."""
        return self._all.match(entry) is not None

    async def start(self) -> None:
        """Read what there is; before that nothing may be taken. Raises what the broker raises."""
        await self.broker.subscribe(store.SUBJECTS, self._on_notice)
        self.broker.on_connect.append(self._on_connect)
        await self._look()

    async def keep(self) -> None:
        """Follow what changes, and confirm it; for ever."""
        while True:
            self._wake.clear()
            with contextlib.suppress(BrokerFailure):
                if await self._look():
                    self._soon = 0
                await self._confirm()
            every = SOON_EVERY if self._soon else EVERY
            self._soon = max(0, self._soon - 1)
            await wait(self._wake, every)

    async def meet(self, order: Control) -> None:
        """Tell the mover that there is something for it."""
        now = time.monotonic()
        if now - self._met.get(order.id, float("-inf")) >= MET_EVERY:
            self._met[order.id] = now
            with contextlib.suppress(BrokerFailure):
                await self.broker.publish(f"{MET}.{order.id}", b"")

    async def _on_notice(self, _message: Msg) -> None:
        """Somebody writes an order; it may not be stored yet."""
        self._soon = SOON
        self._wake.set()

    async def _on_connect(self) -> None:
        self._confirmed = ""  # leases lie in the broker's memory
        self._wake.set()

    async def _look(self) -> bool:
        """Read the orders if they have changed; whether they have."""
        revision = await store.revision(self.broker)
        if revision == self._revision:
            return False
        orders = await store.read(self.broker)
        self._in_force, self._all = Controls(order for order in orders if not order.released), Controls(orders)
        self._revision = revision
        self._met.clear()
        await self.on_change()
        return True

    async def _confirm(self) -> None:
        busy = sorted(entry.id for entry in self.busy() if self.may_be_held(entry))
        said = json.dumps({"incarnation": self.incarnation, "revision": self._revision[0], "busy": busy})
        now = time.monotonic()
        if said != self._confirmed or now - self._confirmed_at >= leases.RENEW:
            await leases.renew(self.broker, self._key, said)
            self._confirmed, self._confirmed_at = said, now
