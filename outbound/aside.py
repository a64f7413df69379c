"""Mail that leads nowhere waits aside: little of it ends at a time, so that what lies behind it goes in between.

To end costs more than to deliver: there are a row, a report and a row of that, and the report is delivered too.
"""

from collections import deque
from collections.abc import Callable

from common.queue.taken import Taken

#: How many end at a time; with a crowd that waits many, for soon nobody would get past.
FEW, MANY, CROWD = 1, 200, 5000
#: Entries that wait at most, and the bytes of content that stay with them; the others' is let go of.
MAX_ASIDE, MAX_ASIDE_BYTES = 6000, 32 * 2**20


class Aside:
    """``go`` is called with whose turn it is."""

    def __init__(self, shed: Callable[[Taken], None], go: Callable[[Taken], None]) -> None:
        self._shed, self._go = shed, go
        self._ending: set[Taken] = set()
        self._waiting: deque[Taken] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def is_full(self) -> bool:
        """Whether no more can wait."""
        return len(self._waiting) >= MAX_ASIDE

    def waiting(self) -> list[Taken]:
        """Who waits."""
        return list(self._waiting)

    def enter(self, taken: Taken) -> bool:
        """Whether it is its turn to end; if not, it waits, and comes again."""
        if taken not in self._ending:
            if len(self._ending) >= self._places:
                if self._bytes + taken.inline_size > MAX_ASIDE_BYTES:
                    self._shed(taken)
                self._bytes += taken.inline_size
                self._waiting.append(taken)
                return False
            self._ending.add(taken)
        return True

    def leave(self, taken: Taken) -> None:
        """It has ended, or went somewhere after all."""
        self._ending.discard(taken)
        while self._waiting and len(self._ending) < self._places:
            following = self._waiting.popleft()
            self._bytes -= following.inline_size
            if not following.dropped:
                self._ending.add(following)
                self._go(following)

    def clear(self) -> None:
        """Let nobody wait any more: what has not begun is for other workers."""
        self._waiting.clear()
        self._bytes = 0

    @property
    def _places(self) -> int:
        return FEW if len(self._waiting) < CROWD else MANY
