"""Who goes first: bands of priority a:b:c about 8:3:1, so that nothing starves; the highest number inside a band."""

import itertools
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from common.subjects import BANDS, band

T = TypeVar("T")
_TURNS = "aabaaabaabac"


class Bands(Generic[T]):
    """What waits, by priority (0..9); of one priority the first that came."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[int, int, T]]] = {name: [] for name in BANDS}
        self._turns = itertools.cycle(_TURNS)
        self._order = itertools.count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        """All, in no order."""
        return (item for waiting in self._waiting.values() for _, _, item in waiting)

    def push(self, priority: int, item: T) -> None:
        """Let it wait."""
        self._size += 1
        heappush(self._waiting[band(priority)], (-priority, next(self._order), item))

    def pop(self) -> T:
        """Who is next. Raises IndexError when nobody waits."""
        for name in (next(self._turns), *BANDS):
            if waiting := self._waiting[name]:
                self._size -= 1
                return heappop(waiting)[2]
        raise IndexError("nobody waits")

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Forget the others."""
        for waiting in self._waiting.values():
            waiting[:] = [item for item in waiting if wanted(item[2])]
            heapify(waiting)
        self._size = sum(map(len, self._waiting.values()))
