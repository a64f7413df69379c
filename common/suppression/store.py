"""Suppressions in KV: ``$KV.suppression.<bucket>`` holds those of all recipients whose hash falls into a bucket.

A message for each would have every process read a million messages at its start; this way it is 16,384 at most, of
some kilobytes (docs/decisions/010-suppression.md). Changes are guarded by the sequence that was read, so nobody's is
lost.
"""

import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import structlog

from common.broker import Broker, BrokerError, Message, Stored
from common.errors import PostjetError
from common.ids import base32
from common.queue.listing import walk
from common.suppression.suppression import Suppression, bucket, hashed, merged, pack, unpack
from common.unsubscribe import KEY_BYTES

log = structlog.get_logger()

STREAM = "KV_suppression"
_PREFIX = "$KV.suppression."
_DIGITS = 3
#: Deeper than the buckets, so that it is none.
_KEY = "$KV.suppression.key.unsubscribe"
#: Bytes of a bucket: fifty times what ten million evenly spread suppressions make of it.
MAX_BUCKET = 2**20

Change = Callable[[list[Suppression]], Sequence[Suppression] | None]
"""What a bucket is to hold instead; None: it stays as it is."""


class FullError(PostjetError):
    """So many suppressions in one bucket are nobody's honest list."""


def bucket_of(recipient: str) -> int:
    """The bucket of a folded address."""
    return bucket(hashed(recipient))


def number_in(subject: str) -> int:
    """The bucket whose message lies on a subject. Raises ValueError."""
    return int(subject.removeprefix(_PREFIX), 32)


async def last_sequence(broker: Broker) -> int:
    """That of the last change. Raises BrokerFailure."""
    return int((await broker.api(f"STREAM.INFO.{STREAM}"))["state"]["last_seq"])


def changed(broker: Broker, after: int) -> AsyncIterator[Stored]:
    """The messages of buckets that were written after a sequence. Raises BrokerFailure."""
    return walk(broker, STREAM, f"{_PREFIX}*", after + 1)


async def every(broker: Broker) -> AsyncIterator[Suppression]:
    """All that is stored, bucket by bucket, what is over and what is only counted too. Raises BrokerFailure."""
    async for stored in changed(broker, 0):
        for one in _read(stored):
            yield one


async def of(broker: Broker, recipient: str) -> list[Suppression]:
    """Those of a recipient (folded), also what is over and what is only counted. Raises BrokerFailure."""
    there, _ = await _bucket(broker, bucket_of(recipient))
    return [one for one in there if one.recipient == recipient]


async def change(
    broker: Broker, number: int, wanted: Change, before: Callable[[], Awaitable[None]] | None = None
) -> bool:
    """Change a bucket; whether anything was to change. ``before`` is awaited before each try to store it.

    Raises BrokerFailure, FullError.
    """
    while True:
        there, sequence = await _bucket(broker, number)
        left = wanted(there)
        if left is None:
            return False
        body = pack(left) if left else b""
        if len(body) > MAX_BUCKET:
            raise FullError(f"suppressions: bucket {number} is full with {len(there)}; see 'postjet suppression list'")
        if before:
            await before()
        guard = {"Nats-Expected-Last-Subject-Sequence": str(sequence)}
        try:
            await broker.put(Message(f"{_PREFIX}{base32(number, _DIGITS)}", body, guard))
        except BrokerError as error:
            if error.code not in BrokerError.WRONG_SEQUENCE:
                raise
        else:
            return True


async def add(broker: Broker, new: Iterable[Suppression], *, replace: bool = False) -> list[Suppression]:
    """Add suppressions of one bucket; those that were not there already, or lasted less. Raises as ``change``."""
    new = list(new)
    added: list[Suppression] = []

    def wanted(there: list[Suppression]) -> list[Suppression] | None:
        added.clear()
        now = time.time()
        for one in new:
            if (more := merged(there, one, now, replace=replace)) is not None:
                there = more
                added.append(one)
        return there if added else None

    await change(broker, bucket_of(new[0].recipient), wanted)
    return added


async def remove(broker: Broker, recipient: str, scope: str = "") -> list[Suppression]:
    """Remove those of a recipient (folded), of one scope or of all; which there were. Raises BrokerFailure."""
    removed: list[Suppression] = []

    def wanted(there: list[Suppression]) -> list[Suppression] | None:
        removed[:] = [one for one in there if one.recipient == recipient and scope in ("", one.scope)]
        return [one for one in there if one not in removed] if removed else None

    await change(broker, bucket_of(recipient), wanted)
    return removed


async def key(broker: Broker) -> bytes:
    """What seals unsubscribe links: random bytes, the same for all processes of the instance. Raises BrokerFailure."""
    while (stored := await broker.last(STREAM, _KEY)) is None:
        with contextlib.suppress(BrokerError):  # somebody else was quicker
            await broker.put(Message(_KEY, os.urandom(KEY_BYTES), {"Nats-Expected-Last-Subject-Sequence": "0"}))
    return stored.body


async def _bucket(broker: Broker, number: int) -> tuple[list[Suppression], int]:
    stored = await broker.last(STREAM, f"{_PREFIX}{base32(number, _DIGITS)}")
    return (unpack(stored.body), stored.sequence) if stored else ([], 0)


def _read(stored: Stored) -> list[Suppression]:
    try:
        return unpack(stored.body)
    except ValueError as error:
        log.error("suppressions: %s cannot be read: %s", stored.subject, error)
        return []
