"""A site: the connections to one set of MX hosts, kept, shared and reused."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from common import metrics
from common.config import Delivery
from common.counting import count
from outbound.connection import Connection
from outbound.failure import DeliveryFailure
from outbound.routing import Route, Router
from outbound.smtp import Envelope
from outbound.sources import Sources

#: Seconds that a connection waits for another message.
IDLE_TIMEOUT = 5.0
MAX_SITES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The server took responsibility. Times in seconds."""

    code: int
    enhanced: str
    text: str
    mx_host: str
    mx_address: str
    source_address: str
    tls_version: str
    tls_cipher: str
    time_connect: float
    """Addresses, connecting, greeting and TLS; 0 where a connection was reused."""
    time_transfer: float
    reused: bool


class Site:
    """Deliver while ``busy < limit``, and not while ``down_failure`` says why not."""

    def __init__(self, router: Router, ehlo: str, delivery: Delivery, sources: Sequence[str] = ()) -> None:
        self._router = router
        self._sources = Sources(sources)
        self._ehlo = ehlo
        self._delivery = delivery
        self._idle: dict[Connection, asyncio.TimerHandle] = {}
        self._quitting: set[asyncio.Task[None]] = set()
        self._down: DeliveryFailure | None = None
        self._silent: dict[str, float] = {}  # address and until when it is taken to be dead
        self._sending = 0
        self.limit = delivery.connections
        self.busy = 0
        self.down_until = 0.0
        """On the monotonic clock."""

    @property
    def down_failure(self) -> DeliveryFailure | None:
        """Why the site is to be left alone until ``down_until``, to be raised or kept; None: it is up."""
        return replace(self._down) if self._down and time.monotonic() < self.down_until else None

    @property
    def idle(self) -> int:
        """Connections that wait for another message."""
        return len(self._idle)

    @property
    def unused(self) -> bool:
        """Nothing would be lost by forgetting it."""
        return not (self.busy or self._idle or self._quitting or self.down_failure)

    async def deliver(
        self, route: Route, envelope: Envelope, message: bytes, set_out: Callable[[], None] = lambda: None
    ) -> Delivered:
        """Send a message with CRLF line ends to one recipient. Raises DeliveryFailure.

        ``set_out`` is called just before MAIL; what it raises keeps the message here.
        """
        self.busy += 1
        try:
            if connection := self._take():
                try:
                    return await self._send(connection, envelope, message, 0, set_out)
                except DeliveryFailure as failure:
                    if not _is_stale(failure):
                        raise
            start = time.monotonic()
            connection = await self._open(route)
            return await self._send(connection, envelope, message, time.monotonic() - start, set_out)
        finally:
            self.busy -= 1

    async def close(self) -> None:
        """Say QUIT on all idle connections."""
        while connection := self._take():
            self._quit(connection)
        if self._quitting:
            await asyncio.wait(self._quitting)

    async def _send(
        self,
        connection: Connection,
        envelope: Envelope,
        message: bytes,
        time_connect: float,
        set_out: Callable[[], None],
    ) -> Delivered:
        start = time.monotonic()
        self._sending += 1
        try:
            set_out()
            accepted = await connection.deliver(envelope, message)
        finally:
            self._sending -= 1
            self._keep(connection)
        return Delivered(
            code=accepted.code,
            enhanced=accepted.enhanced,
            text=accepted.text,
            mx_host=connection.target.host,
            mx_address=connection.target.address,
            source_address=connection.source_address,
            tls_version=connection.tls_version,
            tls_cipher=connection.tls_cipher,
            time_connect=time_connect,
            time_transfer=time.monotonic() - start,
            reused=time_connect == 0,
        )

    def _take(self) -> Connection | None:
        """The connection used last, so that those too many grow old."""
        while self._idle:
            connection, timer = self._idle.popitem()
            timer.cancel()
            if connection.usable:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: Connection) -> None:
        if not connection.usable:
            connection.abort()
        elif connection.messages >= self._delivery.messages_per_connection:
            self._quit(connection)
        else:
            self._idle[connection] = asyncio.get_running_loop().call_later(IDLE_TIMEOUT, self._expire, connection)

    def _expire(self, connection: Connection) -> None:
        del self._idle[connection]
        self._quit(connection)

    def _quit(self, connection: Connection) -> None:
        task = asyncio.create_task(connection.quit())
        self._quitting.add(task)
        task.add_done_callback(self._quitting.discard)

    async def _open(self, route: Route) -> Connection:
        """RFC 5321 5.1: every address of every host in turn, until one lets us in."""
        while self._quitting and self.busy + len(self._quitting) > self.limit:
            await asyncio.wait(self._quitting, return_when=asyncio.FIRST_COMPLETED)
        targets = self._sources.reach(await self._router.targets(route))
        now = time.monotonic()
        self._silent = {address: until for address, until in self._silent.items() if until > now}
        # RFC 5321 4.5.4.1: addresses known not to answer are remembered; they come after the others
        targets.sort(key=lambda target: target.address in self._silent)
        failures = []
        for target in targets:
            source = self._sources.next(target)
            try:
                connection = await Connection.open(target, self._ehlo, self._delivery, source)
            except DeliveryFailure as failure:
                failures.append(failure)
                count(metrics.OUTBOUND_CONNECTIONS, "failed", "none")
                if failure.phase == "connect" and failure.reason != "source":
                    self._silent[target.address] = time.monotonic() + self._delivery.site_down
            else:
                count(metrics.OUTBOUND_CONNECTIONS, "opened", connection.tls_version or "none")
                self.down_until = 0
                return connection
        raise self._refused(failures)

    def _refused(self, failures: list[DeliveryFailure]) -> DeliveryFailure:
        """The failure to report when nobody let us in; one host that may do so later makes it temporary."""
        failure = next((f for f in reversed(failures) if not f.permanent), failures[-1])
        # A server that talks to us on other connections only has enough of them.
        failure.site_down = not (failure.permanent or self._sending or self._idle)
        if failure.site_down:
            self._down = replace(failure)  # a copy has no traceback, which would keep the message in memory
            self.down_until = time.monotonic() + self._delivery.site_down
        return failure


class Sites:
    """The sites of this process by key; those unused for longest are forgotten beyond ``MAX_SITES``."""

    def __init__(self, router: Router, ehlo: str, delivery: Delivery, sources: Sequence[str] = ()) -> None:
        """``sources`` are the addresses that connections come from, in turn; none: the system chooses."""
        self._make = partial(Site, router, ehlo, delivery, sources)
        self._sites: OrderedDict[str, Site] = OrderedDict()

    def get(self, key: str) -> Site:
        """The site of a route. Ask again after every await: a site without connections may be forgotten."""
        if key not in self._sites:
            self._sites[key] = self._make()
        self._sites.move_to_end(key)
        if len(self._sites) > MAX_SITES and (oldest := next(iter(self._sites.items())))[1].unused:
            del self._sites[oldest[0]]
        return self._sites[key]

    def levels(self) -> dict[str, int]:
        """How many connections are in which state."""
        sites = self._sites.values()
        return {"busy": sum(site.busy for site in sites), "idle": sum(site.idle for site in sites)}

    async def close(self) -> None:
        """Say QUIT on all idle connections."""
        await asyncio.gather(*(site.close() for site in self._sites.values()))


def _is_stale(failure: DeliveryFailure) -> bool:
    """A kept connection turned out dead or used up before it took anything of this mail."""
    gone = failure.reason == "closed" or failure.code == 421
    return failure.phase == "rset" or (failure.phase == "mail" and gone)
