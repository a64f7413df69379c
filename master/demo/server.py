"""What the servers of the loopback world share: start and stop, address, and waiting for what they saw."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self


class LoopbackServer(ABC):
    """``async with`` starts it at its default address, unless it runs already, and stops it."""

    def __init__(self) -> None:
        self.host = ""
        self.port = 0
        self._changed = asyncio.Event()

    @abstractmethod
    async def start(self) -> None:
        """Listen at the default address."""

    @abstractmethod
    async def stop(self) -> None:
        """Close the port and all connections at once. It may be started again."""

    @property
    def address(self) -> str:
        """``host:port`` while it runs."""
        return f"{self.host}:{self.port}"

    def changed(self) -> None:
        """Let those who wait look again."""
        self._changed.set()

    async def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Return once ``condition`` holds for what the server saw. Raises TimeoutError after so many seconds."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def __aenter__(self) -> Self:
        if not self.port:
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.port:
            await self.stop()


async def pass_time(wait: float | asyncio.Event) -> None:
    """Wait for so many seconds, or for an event."""
    if isinstance(wait, asyncio.Event):
        await wait.wait()
    else:
        await asyncio.sleep(wait)
