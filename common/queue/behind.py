"""Work that goes on behind what is done meanwhile: begun in order, few at a time; a failure of any ends all."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

#: Pieces of work at a time.
DEPTH = 2


class Behind:
    """``async with``: at its end all has ended. Raises what the first that failed raised."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece of work, as soon as there are few enough."""
        self._tasks.append(asyncio.create_task(work))
        if len(self._tasks) > DEPTH:
            await self._tasks[0]
            del self._tasks[0]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
