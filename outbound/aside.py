"""Mail that leads nowhere waits aside: little of it ends at a time, so that what lies behind it goes in between.

To end costs more than to deliver: there are a row, a report and a row of that, and the report is delivered too.
"""

from collections import deque
from collections.abc import Callable

from common.queue.taken import Taken

#: How many end at a time, and how many wait at most.
AT_A_TIME, MAX_ASIDE = 4, 6000
#: With so many that wait, as many end at a time: soon nobody would get past them.
CROWD, MANY = 5000, 200


class Aside:
    """``go`` is called with whose turn it is."""

    def __init__(self, shed: Callable[[Taken], None], go: Callable[[Taken], None]) -> None:
        self._shed, self._go = shed, go
        self._ending: set[Taken] = set()
        self._waiting: deque[Taken] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def is_full(self) -> bool:
        """Whether no more can wait."""
        return len(self._waiting) >= MAX_ASIDE

    def waiting(self) -> list[Taken]:
        """Who waits."""
        return list(self._waiting)

    def enter(self, taken: Taken) -> bool:
        """Whether it is its turn to end; if not, it waits without content, and comes again."""
        if taken not in self._ending:
            if len(self._ending) >= self._places:
                self._shed(taken)
                self._waiting.append(taken)
                return False
            self._ending.add(taken)
        return True

    def leave(self, taken: Taken) -> None:
        """It has ended, or went somewhere after all."""
        self._ending.discard(taken)
        while self._waiting and len(self._ending) < self._places:
            following = self._waiting.popleft()
            if not following.dropped:
                self._ending.add(following)
                self._go(following)

    def clear(self) -> None:
        """Let nobody wait any more: what has not begun is for other workers."""
        self._waiting.clear()

    @property
    def _places(self) -> int:
        return AT_A_TIME if len(self._waiting) < CROWD else MANY
