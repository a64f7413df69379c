"""A bound on the bytes of messages that a worker has in memory at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Budget:
    """``total`` bytes, given out in the order they are asked for."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._turn = asyncio.Lock()
        self._returned = asyncio.Event()

    @asynccontextmanager
    async def use(self, size: int) -> AsyncIterator[None]:
        """Hold ``size`` bytes of it; more than all of it is held alone."""
        size = min(size, self._total)
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
