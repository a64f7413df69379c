"""Poison: an entry whose attempts end with the worker's death, or with a mistake of ours, is held after five of them.

The broker's count of deliveries starts again with every consumer. So a worker that finds the mark of a
predecessor that did not end by itself writes a strike for each attempt of its first minute and takes it back
afterwards: what killed the one before comes to it at once. Attempts that raise what nobody expected are
counted apart, always. All of it lies in the broker's memory.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from common.broker import Broker, BrokerFailure, Message
from common.entry import Entry

LIMIT = 5
#: Seconds from the start in which strikes are written.
WATCH = 60.0
_STREAM = "KV_strikes"


class PoisonError(Exception):
    """It was the end of enough attempts."""


class Strikes:
    """The strikes of one worker's attempts. ``slot`` names it over restarts, ``clock`` gives seconds."""

    def __init__(self, broker: Broker, pool: str, slot: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.broker, self._clock = broker, clock
        self._mark = f"$KV.strikes.{pool}.running.{slot}"
        self._until = 0.0

    async def start(self) -> None:
        """Leave a mark; the one of a predecessor means that it died."""
        if await self.broker.last(_STREAM, self._mark):
            self._until = self._clock() + WATCH
        await self.broker.put(Message(self._mark, b""))

    async def stop(self) -> None:
        """End by oneself."""
        with suppress(BrokerFailure):
            await self.broker.purge(_STREAM, self._mark)

    def around(self, entry: Entry) -> AbstractAsyncContextManager[None]:
        """An attempt at ``entry``. Raises PoisonError, and what the broker raises, before it begins."""
        return self._watched(entry) if self._clock() < self._until else nullcontext()

    @asynccontextmanager
    async def _watched(self, entry: Entry) -> AsyncIterator[None]:
        subject = f"$KV.strikes.{entry.pool}.{entry.submission}.{entry.number}"
        count = await self._count(subject)
        if count >= LIMIT:
            await self.broker.purge(_STREAM, subject)  # whoever releases it gives it new chances
            raise PoisonError(f"the worker died during {count} attempts at it")
        await self.broker.put(Message(subject, str(count + 1).encode()))
        try:
            yield
        finally:
            with suppress(BrokerFailure):
                await self.broker.purge(_STREAM, subject)

    async def raised(self, entry: Entry, error: Exception) -> None:
        """An attempt at ``entry`` ended with a mistake of ours. Raises PoisonError when it was one too many."""
        subject = f"$KV.strikes.{entry.pool}.{entry.submission}.{entry.number}.raised"
        count = 1 + await self._count(subject)
        if count < LIMIT:
            await self.broker.put(Message(subject, str(count).encode()))
            return
        await self.broker.purge(_STREAM, subject)
        raise PoisonError(f"{count} attempts at it failed by a mistake of Postjet, the last with {error!r}")

    async def _count(self, subject: str) -> int:
        stored = await self.broker.last(_STREAM, subject)
        return int(stored.body) if stored else 0
