"""A site: the connections to one set of MX hosts under the same limits, kept, shared and reused."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from common.limits.client import Lease, Limiter
from common.limits.limit import Limit
from outbound.connection import Connection, Login
from outbound.failure import DeliveryFailure, NotNowError
from outbound.hosts import Hosts
from outbound.routing import Router
from outbound.seat import Seat
from outbound.smtp import NOTHING, Envelope, Extensions
from outbound.sources import reach
from outbound.ways import Way

#: Seconds that a connection waits for another message.
IDLE_TIMEOUT = 5.0


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
    offered: Extensions = NOTHING


@dataclass(frozen=True, slots=True)
class Means:
    """What all sites of a process need to open connections."""

    router: Router
    limiter: Limiter
    ehlo: str
    login: Login


class Site:
    """Deliver with a ``seat``, and not while ``down_failure`` says why not.

    ``on_free`` is called when there may be a seat for who waits: what it does not take is closed or kept; ``on_up``
    when it was down and lets us in.
    """

    def __init__(
        self, means: Means, key: str, limits: tuple[Limit, ...], source: str, on_free: Callable[["Site"], None]
    ) -> None:
        self._means = means
        self.key, self.limits, self.source = key, limits, source
        self._on_free = on_free
        self.on_up: Callable[[Site], None] = lambda _: None
        self._idle: dict[Seat, asyncio.TimerHandle] = {}
        self._spare: list[Seat] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None
        self._yields = 0
        self._down: DeliveryFailure | None = None
        self._hosts = Hosts(means.ehlo, means.login, source)
        self._sending = 0
        self.busy = 0
        """Seats in use."""
        self.lines = 0
        """Lines of mail that wait (``park``)."""
        self.waits_for: Limit | None = None
        """The limit that has no slot for us."""
        self.down_until = 0.0
        """On the monotonic clock."""

    @property
    def down(self) -> float:
        """Seconds for which it is to be left alone."""
        return max(0.0, self.down_until - time.monotonic()) if self._down else 0.0

    @property
    def down_failure(self) -> DeliveryFailure | None:
        """Why the site is or was to be left alone; None: it is up."""
        return replace(self._down) if self._down else None

    @property
    def idle(self) -> int:
        """Connections that wait for another message."""
        return len(self._idle)

    @property
    def unused(self) -> bool:
        """Nothing would be lost by forgetting it."""
        return not (self.busy or self.lines or self._idle or self._closing or self._asking or self.down)

    # --- seats ---

    def seat(self) -> Seat | None:
        """A seat, an idle connection's first; None: one is asked for, and ``on_free`` called when it comes.

        Of a site that was down one at a time is let out, until it is known to be up.
        """
        if self._down and self.busy:
            return None
        while self._idle:
            seat, timer = self._idle.popitem()  # the one used last, so that those too many grow old
            timer.cancel()
            if seat.usable:
                self.busy += 1
                return seat
            self._close(seat)
        if self._spare and self._spare[-1].lease.valid:
            self.busy += 1
            return self._spare.pop()
        if self._asking:
            return None
        if lease := self._means.limiter.lease_now(self.limits, self.key):
            self.busy += 1
            return Seat(self, lease)
        self._asking = asyncio.create_task(self._ask())
        return None

    async def _ask(self) -> None:
        lease: Lease | None = None
        try:
            lease = await self._means.limiter.lease(self.limits, self.key, self._wait_for)
        finally:
            self._asking = self.waits_for = None
        self._offer(Seat(self, lease))

    def _wait_for(self, limit: Limit) -> None:
        self.waits_for = limit

    def _offer(self, seat: Seat) -> None:
        """A seat without a connection is for whoever waits now, or given back."""
        self._spare.append(seat)
        self._on_free(self)
        if seat in self._spare:
            self._spare.remove(seat)
            seat.lease.release()

    def left(self, seat: Seat) -> None:
        """Called by the seat: keep its connection for the next one, or close it."""
        self.busy -= 1
        if seat.connection is None and not seat.dirty:
            self._offer(seat)
        elif self._yields and seat.connection:
            self._yields -= 1
            self._close(seat)
        elif seat.connection and seat.usable and not seat.connection.used_up:
            self._idle[seat] = asyncio.get_running_loop().call_later(IDLE_TIMEOUT, self._expire, seat)
            self._on_free(self)
        else:
            self._close(seat)

    def give_up_one(self) -> None:
        """Others wait for what our connections hold: close one, at the latest after its message."""
        if self._idle:
            self._expire(next(iter(self._idle)))
        elif self.busy:
            self._yields = 1

    def close_idle(self) -> None:
        """Say QUIT on all idle connections."""
        for seat in list(self._idle):
            self._expire(seat)

    async def close(self) -> None:
        """Say QUIT on all idle connections and wait for the answers."""
        if self._asking:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking
        self.close_idle()
        if self._closing:
            await asyncio.wait(self._closing)

    def _expire(self, seat: Seat) -> None:
        self._idle.pop(seat).cancel()
        self._close(seat)

    def _close(self, seat: Seat) -> None:
        task = asyncio.create_task(self._close_and_release(seat))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_and_release(self, seat: Seat) -> None:
        await seat.close()
        seat.lease.release()
        self._on_free(self)

    # --- delivering ---

    async def deliver(
        self, seat: Seat, way: Way, envelope: Envelope, message: bytes, begin: Callable[[], bool]
    ) -> Delivered:
        """Send a message with CRLF line ends to one recipient.

        ``begin`` is asked right before the transaction. Raises DeliveryFailure; NotNowError when there is no token,
        or ``begin`` said no.
        """

        def may_begin() -> bool:
            return seat.lease.valid and begin()

        if seat.connection:
            try:
                return await self._send(seat.connection, way, envelope, message, may_begin, 0)
            except DeliveryFailure as failure:
                if not _is_stale(failure):
                    raise
            await seat.close()
        start = time.monotonic()
        seat.connection = connection = await self._open(seat, way)
        return await self._send(connection, way, envelope, message, may_begin, time.monotonic() - start)

    async def _send(
        self,
        connection: Connection,
        way: Way,
        envelope: Envelope,
        message: bytes,
        begin: Callable[[], bool],
        time_connect: float,
    ) -> Delivered:
        if way.pace.messages:
            await self._take_tokens(way.pace.messages)
        if not begin():
            raise NotNowError(0.0, None)
        start = time.monotonic()
        self._sending += 1
        try:
            accepted = await connection.deliver(envelope, message)
        finally:
            self._sending -= 1
            # RFC 9422: what the server says counts where it is less
            most = min(way.policy.messages_per_connection, connection.offered.mailmax or sys.maxsize)
            connection.used_up = connection.messages >= most
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
            offered=connection.offered,
        )

    async def _take_tokens(self, limits: tuple[Limit, ...]) -> None:
        wait, limit = await self._means.limiter.tokens(limits)
        if wait:
            raise NotNowError(wait, limit)

    async def _open(self, seat: Seat, way: Way) -> Connection:
        targets = reach(await self._means.router.targets(way.route, way.policy.ip_family), self.source)

        async def gate() -> None:
            if way.pace.connects:
                await self._take_tokens(way.pace.connects)
            if not seat.lease.valid:
                raise NotNowError(0.0, None)

        try:
            connection = await self._hosts.open(targets, way.policy, seat, gate)
        except DeliveryFailure as failure:
            # A server that talks to us on other connections only has enough of them.
            failure.site_down = not (failure.permanent or self._sending or self._idle)
            if failure.site_down:
                self._down = replace(failure)  # a copy has no traceback, which would keep the message in memory
                self.down_until = time.monotonic() + way.policy.site_down
            raise
        if self._down:
            self._down = None
            self.on_up(self)
        return connection


def _is_stale(failure: DeliveryFailure) -> bool:
    """A kept connection turned out dead or used up before it took anything of this mail."""
    gone = failure.reason == "closed" or failure.code == 421
    return failure.phase == "rset" or (failure.phase == "mail" and gone)
