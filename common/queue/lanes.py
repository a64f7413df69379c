"""Which lanes a worker reads.

A pool's buckets, in groups, are spread over lanes; lanes are shared out to the live workers by rendezvous hash. A lane
has a consumer for each band (``consumers``).
"""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerError, BrokerFailure, Message, UnknownOutcomeError
from common.queue import leases
from common.queue.consumers import ALL_OUT, MOST_OUT, Consumer, Consumers, Key
from common.queue.streams import LEASE
from common.subjects import BANDS, GROUPS
from common.waits import wait

log = structlog.get_logger()

_POOLS_STREAM = "KV_pools"
#: Seconds that nothing waits in a bucket that was taken out, before its lane reads it again.
IDLE = 30.0


def owner_of(lane: int, workers: list[str]) -> str:
    """The worker that reads a lane: highest random weight (rendezvous hash)."""
    return max(workers, key=lambda worker: hashlib.blake2b(f"{worker}/{lane}".encode()).digest())


async def lane_count(broker: Broker, pool: str) -> int:
    """The pool's number of lanes: what stands in KV, else 4 on a small machine and 16 on others."""
    subject = f"$KV.pools.{pool}.lanes"
    wanted = 4 if (os.cpu_count() or 1) <= 4 else 16
    try:
        message = Message(subject, str(wanted).encode(), {"Nats-Expected-Last-Subject-Sequence": "0"})
        await broker.put(message)
    except BrokerError as error:
        if error.code not in BrokerError.WRONG_SEQUENCE:
            raise
    stored = await broker.last(_POOLS_STREAM, subject)
    return min(int(stored.body) if stored else wanted, GROUPS)


class Lanes:
    """The lanes of one worker. ``slot`` names the worker over restarts, ``incarnation`` this process."""

    def __init__(
        self,
        broker: Broker,
        pool: str,
        slot: str,
        incarnation: str,
        on_consumer: Callable[[Consumer], Awaitable[None]],
        on_lost: Callable[[str, bool], Awaitable[None]],
        holding: Callable[[], set[str]],
    ) -> None:
        """``on_consumer`` is told of every consumer to read (again), ``on_lost`` of names to leave.

        With the name comes whether what it handed out to us is still ours to give back. ``holding`` names
        the consumers of what is being worked on.
        """
        self.broker, self.pool = broker, pool
        self.slot, self.incarnation = slot, incarnation
        self._on_consumer, self._on_lost, self._holding = on_consumer, on_lost, holding
        self._count = 0
        self._mine: set[int] = set()
        self._consumers = Consumers(broker, pool, incarnation, self._alive)
        self._read: dict[Key, list[Consumer]] = {}
        self._left: dict[Key, list[Consumer]] = {}
        self._outgrown: set[tuple[str, int]] = set()
        self._idle_since: dict[Consumer, float] = {}
        self._workers: list[str] = []
        self._connected_at = float("-inf")
        self._look_since = self._renewed_at = time.monotonic()
        self._wake = asyncio.Event()

    @property
    def _key(self) -> str:
        return f"worker.{self.pool}.{self.slot}"

    async def reconnected(self) -> None:
        """The broker may have been restarted: look at every consumer again, now."""
        self._connected_at = time.monotonic()
        self.look_again()

    def look_again(self) -> None:
        """A consumer may be gone."""
        self._look_since = time.monotonic()
        self._wake.set()

    async def keep(self) -> None:
        """Renew the lease and follow what changes, for ever."""
        ensured_at = 0.0
        await self.broker.subscribe(f"$KV.leases.worker.{self.pool}.*", self._on_lease)
        while True:
            self._wake.clear()
            try:
                asked = time.monotonic()
                await leases.renew(self.broker, self._key, self.incarnation)
                if asked - self._renewed_at > LEASE:
                    await self._drop_all()  # others may have taken over meanwhile
                self._renewed_at = asked
                if not self._count:
                    self._count = self._consumers.lanes = await lane_count(self.broker, self.pool)
                await self._follow(again=ensured_at < self._look_since)
                await self._reshape()
                ensured_at = asked
            except BrokerFailure as error:
                ensured_at = 0.0  # some may have been ensured and some not
                log.debug("lanes: %s", error)
            await wait(self._wake, leases.RENEW if ensured_at else 0.2)

    async def _on_lease(self, message: Msg) -> None:
        """Who comes anew need not wait until we have looked."""
        if self._workers and message.subject.rpartition(".")[2] not in self._workers:
            self._wake.set()

    async def leave(self, done: Coroutine[Any, Any, None]) -> None:
        """Let others take over at once, but stay known as alive until ``done``: what we hold stays ours."""
        leaving = f"leaving.{self.pool}.{self.slot}"
        work = asyncio.create_task(done)
        while not work.done():
            with contextlib.suppress(BrokerFailure):
                await leases.renew(self.broker, leaving, self.incarnation)
                await leases.give_up(self.broker, self._key)
            await asyncio.wait([work], timeout=leases.RENEW)
        await leases.give_up(self.broker, leaving)
        work.result()

    async def _drop_all(self) -> None:
        log.warning("lanes of pool %s: own lease lapsed; taken again", self.pool)
        for consumers in self._read.values():
            for consumer in consumers:
                # no NAK: they are not fenced and would hit what a new owner holds
                await self._on_lost(consumer.name, False)
        self._mine, self._read = set(), {}

    async def _follow(self, *, again: bool) -> None:
        """Leave and take lanes as the live workers demand; with ``again`` look at every consumer."""
        working = await leases.live(self.broker, f"worker.{self.pool}")
        self._workers = workers = sorted(key.rpartition(".")[2] for key in working)
        if self.slot not in workers:
            raise UnknownOutcomeError("own lease lapsed between renewing and asking")
        mine = {lane for lane in range(self._count) if owner_of(lane, workers) == self.slot}
        if self._mine and time.monotonic() - self._connected_at < LEASE:
            mine = set(self._mine)  # after a broker restart the others' leases take a while to come back
        if changed := mine != self._mine:
            log.info("lanes of pool %s: %s of %s", self.pool, len(mine), self._count)
        for lane in self._mine - mine if changed else ():
            for key in _keys(lane):
                await self._leave(key, give_back=True)
            self._mine.discard(lane)
        for lane in sorted(mine if again else mine - self._mine):
            self._mine.add(lane)
            for key in _keys(lane):
                self._left.pop(key, None)
                self._read[key] = await self._consumers.ensure(key)
                for consumer in self._read[key]:
                    await self._on_consumer(consumer)
        held = self._holding() if self._left else set()
        for key, consumers in list(self._left.items()):
            if held.isdisjoint(consumer.name for consumer in consumers) and await self._consumers.strike_off(key):
                del self._left[key]

    async def _leave(self, key: Key, give_back: bool) -> None:
        self._left[key] = self._read.pop(key, [])
        for consumer in self._left[key]:
            await self._on_lost(consumer.name, give_back)

    # --- buckets in which much waits ---

    def outgrown(self, consumer: Consumer, bucket: int) -> None:
        """Told that much of what a lane's consumer hands out is of one bucket, and cannot go now."""
        self._outgrown.add((consumer.name, bucket))
        self._wake.set()

    async def _reshape(self) -> None:
        """Take buckets out that have outgrown their lane, put back in which nothing has waited for a while."""
        outgrown, self._outgrown = self._outgrown, set()  # whoever has still outgrown its lane says so again
        held = self._holding() if any(len(consumers) > 1 for consumers in self._read.values()) else set()
        for key, (lane, *own) in [item for item in self._read.items() if item[1]]:
            room = min(MOST_OUT - len(own), ALL_OUT - sum(len(others) - 1 for others in self._read.values() if others))
            out = [bucket for name, bucket in outgrown if name == lane.name][: max(0, room)]
            idle = [consumer for consumer in own if await self._is_idle(consumer, held)]
            if not (out or idle) or not await self._consumers.may_reshape(key):
                continue
            for consumer in (lane, *idle):  # what they hand out from here on is not ours
                await self._on_lost(consumer.name, False)
                self._read[key].remove(consumer)
            self.look_again()
            await self._consumers.reshape(key, out, idle)
            for bucket in out:
                log.info("pool %s: much waits in bucket %s, which gets a consumer of its own", self.pool, bucket)

    async def _is_idle(self, consumer: Consumer, held: set[str]) -> bool:
        if consumer.name in held or not await self._consumers.is_idle(consumer):
            self._idle_since.pop(consumer, None)
            return False
        since = self._idle_since.setdefault(consumer, time.monotonic())
        if time.monotonic() - since < IDLE:
            return False
        del self._idle_since[consumer]
        return True

    async def _alive(self) -> set[str]:
        """The incarnations that live, those that are leaving too."""
        working = await leases.live(self.broker, f"worker.{self.pool}")
        leaving = await leases.live(self.broker, f"leaving.{self.pool}")
        return {*working.values(), *leaving.values()}


def _keys(lane: int) -> list[Key]:
    return [(lane, band) for band in BANDS]
