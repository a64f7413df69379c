"""Which lanes a worker reads, and the consumers that read them.

A pool's 1,024 buckets are spread over lanes; lanes are shared out to the live workers by rendezvous hash.
A lane has one consumer per band, in the broker's memory. A consumer remembers in its metadata whose
incarnation created it: who takes over from a dead one creates it anew, which hands out at once what the
dead one held; from a living one it reads on.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from common.broker import Broker, BrokerError, Message, NoBrokerError, UnknownOutcomeError
from common.queue import leases
from common.queue.streams import LEASE
from common.subjects import BANDS, lane_filters, queue_stream

log = structlog.get_logger()

ACK_WAIT = 30
MAX_ACK_PENDING = 10_000
_OWNER = "postjet_owner"
_POOLS_STREAM = "KV_pools"


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer in the broker. ``created`` (RFC 3339) tells it from an earlier one of the same name."""

    name: str
    created: str


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
    return int(stored.body) if stored else wanted


class Lanes:
    """The lanes of one worker. ``slot`` names the worker over restarts, ``incarnation`` this process."""

    def __init__(
        self,
        broker: Broker,
        pool: str,
        slot: str,
        incarnation: str,
        on_consumer: Callable[[Consumer], Awaitable[None]],
        on_lost: Callable[[str], Awaitable[None]],
    ) -> None:
        """``on_consumer`` is told of every consumer to read (again), ``on_lost`` of names to leave."""
        self.broker, self.pool = broker, pool
        self.slot, self.incarnation = slot, incarnation
        self._on_consumer, self._on_lost = on_consumer, on_lost
        self._count = 0
        self._mine: set[int] = set()
        self._connected_at = self._renewed_at = time.monotonic()
        self._wake = asyncio.Event()

    @property
    def _key(self) -> str:
        return f"worker.{self.pool}.{self.slot}"

    async def reconnected(self) -> None:
        """The broker may have been restarted: look at every consumer again, now."""
        self._connected_at = time.monotonic()
        self._wake.set()

    async def keep(self) -> None:
        """Renew the lease and follow what changes, for ever."""
        ensured_at = 0.0
        while True:
            try:
                await leases.renew(self.broker, self._key, self.incarnation)
                if time.monotonic() - self._renewed_at > LEASE:
                    await self._drop_all()  # others may have taken over meanwhile
                self._renewed_at = time.monotonic()
                if not self._count:
                    self._count = await lane_count(self.broker, self.pool)
                alive = await leases.live(self.broker, f"worker.{self.pool}")
                again = ensured_at < self._connected_at
                await self._follow(alive, again)
                if again:
                    ensured_at = time.monotonic()
            except (BrokerError, NoBrokerError, UnknownOutcomeError) as error:
                log.debug("lanes: %s", error)
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), leases.RENEW if ensured_at else 0.2)
            except TimeoutError:
                continue

    async def leave(self) -> None:
        """Give up the lease, so that others take over at once."""
        await leases.give_up(self.broker, self._key)

    async def _drop_all(self) -> None:
        log.warning("lanes of pool %s: own lease lapsed; taken again", self.pool)
        for lane in self._mine:
            for band in BANDS:
                await self._on_lost(_name(lane, band))
        self._mine = set()

    async def _follow(self, alive: dict[str, str], again: bool) -> None:
        workers = sorted(key.rpartition(".")[2] for key in alive)
        mine = {lane for lane in range(self._count) if owner_of(lane, workers) == self.slot}
        if self._mine and time.monotonic() - self._connected_at < LEASE:
            mine = self._mine  # after a broker restart the others' leases take a while to come back
        for lane in self._mine - mine:
            for band in BANDS:
                await self._on_lost(_name(lane, band))
        for lane in mine if again else mine - self._mine:
            for band in BANDS:
                await self._on_consumer(await self._ensure(lane, band, set(alive.values())))
        if mine != self._mine:
            log.info("lanes of pool %s: %s of %s", self.pool, len(mine), self._count)
        self._mine = mine

    async def _ensure(self, lane: int, band: str, alive: set[str]) -> Consumer:
        stream, name = queue_stream(self.pool), _name(lane, band)
        try:
            info = await self.broker.api(f"CONSUMER.INFO.{stream}.{name}")
            if info["config"].get("metadata", {}).get(_OWNER) in alive:
                return Consumer(name, info["created"])
            await self.broker.api(f"CONSUMER.DELETE.{stream}.{name}")
        except BrokerError as error:
            if error.code not in BrokerError.NOT_FOUND:
                raise
        info = await self.broker.api(f"CONSUMER.CREATE.{stream}.{name}", self._definition(lane, band))
        return Consumer(name, info["created"])

    def _definition(self, lane: int, band: str) -> dict[str, Any]:
        name = _name(lane, band)
        return {
            "stream_name": queue_stream(self.pool),
            "config": {
                "name": name,
                "durable_name": name,
                "filter_subjects": lane_filters(self.pool, lane, self._count, band),
                "ack_policy": "explicit",
                "deliver_policy": "all",
                "replay_policy": "instant",
                "ack_wait": ACK_WAIT * 1_000_000_000,
                "max_ack_pending": MAX_ACK_PENDING,
                "max_deliver": -1,
                "mem_storage": True,
                "num_replicas": 1,
                "metadata": {_OWNER: self.incarnation},
            },
        }


def _name(lane: int, band: str) -> str:
    return f"lane{lane}{band}"
