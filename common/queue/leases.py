"""Leases in memory with a time to live: who is alive, and who alone does what."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from common.broker import Broker, BrokerError, BrokerFailure, Message, NoBrokerError, UnknownOutcomeError
from common.queue.streams import LEASE

log = structlog.get_logger()

RENEW = 3.0
#: Of who reads feedback, by process.
FEEDBACK = "dsn"
_STREAM = "KV_leases"


def _subject(key: str) -> str:
    return f"$KV.leases.{key}"


async def renew(broker: Broker, key: str, holder: str) -> None:
    """Say that ``holder`` is alive under ``key`` for the next LEASE seconds."""
    await broker.put(Message(_subject(key), holder.encode()))


async def give_up(broker: Broker, key: str) -> None:
    """End a lease of our own at once."""
    with contextlib.suppress(BrokerFailure):
        await broker.purge(_STREAM, _subject(key))


async def live(broker: Broker, *prefixes: str) -> dict[str, str]:
    """Key to holder of every lease under a ``<prefix>.`` that has not lapsed."""
    found = await broker.page(_STREAM, {"multi_last": [f"{_subject(prefix)}.>" for prefix in prefixes]})
    return {stored.subject.removeprefix("$KV.leases."): stored.body.decode() for stored in found}


async def age(broker: Broker) -> float:
    """Seconds since leases are kept: before LEASE has passed, some who live may not have come back yet."""
    info = await broker.api(f"STREAM.INFO.{_STREAM}")
    created, now = (datetime.fromisoformat(info[name]) for name in ("created", "ts"))
    return (now - created).total_seconds()


async def holder(broker: Broker, key: str) -> str:
    """Who holds a lease now; "" where nobody does."""
    stored = await broker.last(_STREAM, _subject(key))
    return stored.body.decode() if stored else ""


async def while_alone(
    broker: Broker, key: str, holder: str, work: Callable[[], Awaitable[None]], stopping: asyncio.Event
) -> None:
    """Run ``work`` while nobody else holds ``key``, until ``stopping`` is set.

    Whoever does not get the lease tries again every RENEW seconds. ``work`` is cancelled when the lease
    cannot be renewed within its time, and started again once it is back.
    """
    while not stopping.is_set():
        revision = await _create(broker, key, holder)
        if revision:
            await _work(broker, key, holder, revision, work)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), RENEW)


async def _create(broker: Broker, key: str, holder: str) -> int:
    """Take a lease that nobody holds, or that a dead incarnation of ours holds; 0 when it is taken."""
    try:
        stored = await broker.last(_STREAM, _subject(key))
        if stored and stored.body.decode() != holder:
            return 0
        return await _write(broker, key, holder, stored.sequence if stored else 0)
    except BrokerFailure:
        return 0


async def _write(broker: Broker, key: str, holder: str, last: int) -> int:
    headers = {"Nats-Expected-Last-Subject-Sequence": str(last)}
    return await broker.put(Message(_subject(key), holder.encode(), headers), timeout=2.0)


async def _work(
    broker: Broker, key: str, holder: str, revision: int, work: Callable[[], Awaitable[None]]
) -> None:
    task = asyncio.ensure_future(work())
    loop = asyncio.get_running_loop()
    held_until = loop.time() + LEASE
    try:
        while not task.done() and loop.time() < held_until - 1:
            await asyncio.wait([task], timeout=RENEW)
            try:
                revision = await _write(broker, key, holder, revision)
                held_until = loop.time() + LEASE
            except BrokerError as error:
                log.warning("lease %s lost: %s", key, error)
                revision = 0
                break
            except (NoBrokerError, UnknownOutcomeError):
                continue
    finally:
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if revision:  # else it is somebody else's
            await give_up(broker, key)
