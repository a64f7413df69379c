"""Memory for large messages that come in: bounded over all sessions of a listener in this process.

When it is full nobody reads on but one, whose message then is whole, is queued and makes room: others wait,
their clients wait with them (TCP), and nobody waits for somebody who waits.
"""

import asyncio
import weakref
from collections import deque

#: Seconds that a session waits for room; clients have a timeout of 3 minutes at least (RFC 5321 4.5.3.2.5).
PATIENCE = 60.0


class Memory:
    """What there is, in bytes, and what is held of it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._first: weakref.ref[Share] | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def share(self, *, trusted: bool) -> "Share":
        """For one message. Strangers never have more than half: who is trusted is not kept out by them."""
        return Share(self, self.limit if trusted else self.limit // 2)

    async def room(self, share: "Share") -> None:
        """Wait until more of this message may come in. Raises TimeoutError after PATIENCE."""
        if self._may_grow(share):
            return
        async with asyncio.timeout(PATIENCE):
            while not self._may_grow(share):
                waiter = asyncio.get_running_loop().create_future()
                self._waiting.append(waiter)
                await waiter

    def changed(self, by: int) -> None:
        """More is held, or less."""
        self.held += by
        if by < 0:
            while self._waiting:
                if not (waiter := self._waiting.popleft()).done():
                    waiter.set_result(None)

    def _may_grow(self, share: "Share") -> bool:
        if self.held < share.limit:
            return True
        first = self._first and self._first()
        if not first or not first.size:  # its message is queued, or given up
            first, self._first = share, weakref.ref(share)
        return first is share


class Share:
    """What one message holds. It is given back when the message is gone, whatever became of it."""

    def __init__(self, memory: Memory, limit: int) -> None:
        self.memory, self.limit, self.size = memory, limit, 0

    def set(self, size: int) -> None:
        """So much it is now."""
        change, self.size = size - self.size, size
        if change:
            self.memory.changed(change)

    def __del__(self) -> None:
        self.set(0)
