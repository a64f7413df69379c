"""Which lanes a worker reads, and the consumers that read them.

A pool's buckets, in groups, are spread over lanes; lanes are shared out to the live workers by rendezvous hash.
A lane has one consumer per band, in the broker's memory. A consumer remembers in its metadata which
incarnations of workers read it: who takes over when none of them lives creates it anew, which hands out at once
what the dead ones held. Else it reads on: what a living one has begun must not be handed out again, and
what a dead one held comes after ACK_WAIT.
"""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerError, BrokerFailure, Message, UnknownOutcomeError
from common.queue import leases
from common.queue.streams import LEASE
from common.subjects import BANDS, GROUPS, lane_filters, queue_stream

log = structlog.get_logger()

ACK_WAIT = 30.0
MAX_ACK_PENDING = 10_000
_READERS = "postjet_readers"
_POOLS_STREAM = "KV_pools"
_NOT_THERE_TO_UPDATE = 10149


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
        holds: Callable[[str], bool],
    ) -> None:
        """``on_consumer`` is told of every consumer to read (again), ``on_lost`` of names to leave.

        With the name comes whether what it handed out to us is still ours to give back. ``holds`` says whether
        something that a consumer handed out to us is still being worked on.
        """
        self.broker, self.pool = broker, pool
        self.slot, self.incarnation = slot, incarnation
        self._on_consumer, self._on_lost, self._holds = on_consumer, on_lost, holds
        self._count = 0
        self._mine: set[int] = set()
        self._left: set[tuple[int, str]] = set()
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
                    self._count = await lane_count(self.broker, self.pool)
                await self._follow(again=ensured_at < self._look_since)
                ensured_at = asked
            except BrokerFailure as error:
                ensured_at = 0.0  # some may have been ensured and some not
                log.debug("lanes: %s", error)
            try:
                await asyncio.wait_for(self._wake.wait(), leases.RENEW if ensured_at else 0.2)
            except TimeoutError:
                continue

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
        for lane in self._mine:
            for band in BANDS:
                # no NAK: they are not fenced and would hit what a new owner holds
                await self._on_lost(_name(lane, band), False)
        self._mine = set()

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
            for band in BANDS:
                await self._on_lost(_name(lane, band), True)
                self._left.add((lane, band))
            self._mine.discard(lane)
        for lane in sorted(mine if again else mine - self._mine):
            self._mine.add(lane)
            for band in BANDS:
                self._left.discard((lane, band))
                await self._on_consumer(await self._ensure(lane, band))
        for lane, band in list(self._left):
            if not self._holds(_name(lane, band)):
                await self._strike_off(lane, band)

    async def _alive(self) -> set[str]:
        """The incarnations that live, those that are leaving too."""
        working = await leases.live(self.broker, f"worker.{self.pool}")
        leaving = await leases.live(self.broker, f"leaving.{self.pool}")
        return {*working.values(), *leaving.values()}

    async def _ensure(self, lane: int, band: str) -> Consumer:
        stream, name = queue_stream(self.pool), _name(lane, band)
        readers = {self.incarnation}
        try:
            info = await self.broker.api(f"CONSUMER.INFO.{stream}.{name}")
            known = _readers(info)
            if known != readers:
                known &= await self._alive()  # asked last: who made it a moment ago had a lease before
                if not known:
                    await self.broker.api(f"CONSUMER.DELETE.{stream}.{name}")
                readers |= known
        except BrokerError as error:
            if error.code not in BrokerError.NOT_FOUND:
                raise
        # of one that is there only the metadata changes
        info = await self.broker.api(f"CONSUMER.CREATE.{stream}.{name}", self._definition(lane, band, readers))
        return Consumer(name, info["created"])

    async def _strike_off(self, lane: int, band: str) -> None:
        """We do not read a consumer any more and hold nothing of it: whoever reads it is now alone."""
        try:
            info = await self.broker.api(f"CONSUMER.INFO.{queue_stream(self.pool)}.{_name(lane, band)}")
            known = _readers(info)
            if not (others := known - {self.incarnation}):
                return  # nobody has come yet
            if others != known:
                definition = self._definition(lane, band, others) | {"action": "update"}
                await self.broker.api(f"CONSUMER.CREATE.{queue_stream(self.pool)}.{_name(lane, band)}", definition)
        except BrokerError as error:
            if error.code not in BrokerError.NOT_FOUND | {_NOT_THERE_TO_UPDATE}:
                raise
        self._left.discard((lane, band))

    def _definition(self, lane: int, band: str, readers: set[str]) -> dict[str, Any]:
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
                "ack_wait": int(ACK_WAIT * 1e9),
                "max_ack_pending": MAX_ACK_PENDING,
                "max_deliver": -1,
                "mem_storage": True,
                "num_replicas": 1,
                "metadata": {_READERS: " ".join(sorted(readers))},
            },
        }


def _readers(info: dict[str, Any]) -> set[str]:
    """The incarnations that a consumer's metadata names."""
    return set(info["config"].get("metadata", {}).get(_READERS, "").split())


def _name(lane: int, band: str) -> str:
    return f"lane{lane}{band}"
