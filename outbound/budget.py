"""A bound on the bytes of messages that a worker has in memory at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext


class Budget:
    """``total`` bytes, given out in the order they are asked for; up to ``uncounted`` bytes ask for nothing.

    So the large messages of a site that hangs hold up other large messages at most.
    """

    def __init__(self, total: int, uncounted: int = 0) -> None:
        self._total = self._free = total
        self._uncounted = uncounted
        self._turn = asyncio.Lock()
        self._returned = asyncio.Event()

    def use(self, size: int) -> AbstractAsyncContextManager[None]:
        """Hold ``size`` bytes of it; more than all of it is held alone."""
        return self._hold(min(size, self._total)) if size > self._uncounted else nullcontext()

    @asynccontextmanager
    async def _hold(self, size: int) -> AsyncIterator[None]:
        async with self._turn:
            while self._free < size:
                self._returned.clear()
                await self._returned.wait()
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._returned.set()
