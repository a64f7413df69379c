"""What a worker does about orders: mail under one is left to the mover, unless it was on its way already."""

import asyncio
import time
from collections import deque

from common.controls.control import Control
from common.controls.watch import Watcher
from common.entry import Entry
from common.queue.take import Taker
from common.queue.taken import Copy, Taken

#: Entries that are left in so many seconds before a worker waits as long.
MOST, WINDOW = 100, 0.2
#: Of what was left so many are known: as many as a consumer may hand out.
KEPT = 10_000


class OrderedError(Exception):
    """The mail is not to go out."""

    def __init__(self, order: Control) -> None:
        super().__init__(str(order))
        self.order = order


class Orders:
    """The orders of one worker, and the deliveries whose end is its own affair (``under_way``)."""

    def __init__(self, watcher: Watcher, taker: Taker) -> None:
        self._watcher, self._taker = watcher, taker
        self._under_way: set[Taken] = set()
        self._since, self._left = 0.0, 0
        self._copies: deque[Copy] = deque(maxlen=KEPT)
        watcher.busy = self.under_way

    def under_way(self) -> list[Entry]:
        """From just before MAIL, or from another outcome on, until that is stored."""
        return [taken.entry for taken in self._under_way]

    def over(self, taken: Taken) -> Control | None:
        """The order that an entry is under."""
        return self._watcher.order(taken.entry)

    async def leave(self, taken: Taken, order: Control) -> None:
        """It stays unacked: the mover takes it out of the queue, or it is handed out again.

        The mover is quicker at that than we are at looking at each: who meets many waits for it a little.
        """
        self.drop(taken)
        await self._watcher.meet(order)
        now = time.monotonic()
        if now - self._since > WINDOW:
            self._since, self._left = now, 0
        self._left += 1
        if self._left >= MOST:
            await asyncio.sleep(WINDOW)

    def drop(self, taken: Taken) -> None:
        """It is not ours any more."""
        self._copies.extend(taken.copies)
        taken.dropped = True
        self._taker.finished(taken)

    async def give_back(self) -> None:
        """The orders have changed: what was left comes again at once, unless it is moved."""
        copies, self._copies = self._copies, deque(maxlen=KEPT)
        for copy in copies:
            await self._taker.give_back(copy)

    def set_out(self, taken: Taken) -> None:
        """Just before MAIL. Raises OrderedError where it is not to go out."""
        if order := self.over(taken):
            raise OrderedError(order)
        self._under_way.add(taken)

    def may_end(self, taken: Taken) -> bool:
        """Whether its outcome is ours to record; else it is dropped."""
        if taken not in self._under_way:
            if self.over(taken):
                self.drop(taken)
                return False
            self._under_way.add(taken)
        return True

    def ended(self, taken: Taken) -> None:
        """Its outcome is stored, or it is out of our hands."""
        self._under_way.discard(taken)
