"""The lobby: entries that wait for DNS, beside those being worked on, without content where room is short."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common.queue.taken import Taken

#: Entries that wait, and the bytes of content that stay with them; the others' is let go of.
MAX_WAITING, MAX_WAITING_BYTES = 4000, 32 * 2**20


class Lobby:
    """``on_change`` is told when an entry comes or goes."""

    def __init__(self, shed: Callable[[Taken], None], on_change: Callable[[], None]) -> None:
        self._shed, self._on_change = shed, on_change
        self._waiting: dict[Taken, asyncio.Task[Any]] = {}
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def is_full(self) -> bool:
        """Whether no more can wait. Those that are not ours any more are sent away."""
        if len(self._waiting) < MAX_WAITING:
            return False
        for task in [task for taken, task in self._waiting.items() if taken.dropped]:
            task.cancel()
        return True

    def clear(self) -> None:
        """Let nobody wait any more."""
        for task in list(self._waiting.values()):
            task.cancel()

    @contextmanager
    def waits(self, taken: Taken) -> Iterator[None]:
        """The task that runs inside is an entry's own: it is cancelled when that is not ours any more."""
        if self._bytes + taken.inline_size > MAX_WAITING_BYTES:
            self._shed(taken)
        size, task = taken.inline_size, asyncio.current_task()
        assert task
        self._waiting[taken] = task
        self._bytes += size
        self._on_change()
        try:
            yield
        finally:
            del self._waiting[taken]
            self._bytes -= size
            self._on_change()
