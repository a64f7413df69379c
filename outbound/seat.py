"""A seat: the right to one connection of a site, which is open already or is opened when it is needed."""

import asyncio
from typing import Protocol

from common.limits.client import Lease
from outbound.connection import Connection

#: Seconds after which a peer that we closed a connection to without a word knows of it.
UNHEARD = 0.5


class Owner(Protocol):
    """A site, as its seats see it."""

    def left(self, seat: "Seat") -> None:
        """It is not in use any more."""


class Seat:
    """Held by one delivery at a time; left when that is over, however it went."""

    __slots__ = ("_owner", "connection", "dirty", "lease")

    def __init__(self, owner: Owner, lease: Lease) -> None:
        self._owner, self.lease = owner, lease
        self.connection: Connection | None = None
        self.dirty = False
        """A peer may not have heard yet that we closed a connection to it."""

    @property
    def usable(self) -> bool:
        """Its connection is open, ready for another message, and ours to use."""
        return self.connection is not None and self.connection.usable and self.lease.valid

    def leave(self) -> None:
        """Let others have it."""
        self._owner.left(self)

    async def close(self) -> None:
        """Close the connection; returns when the peer knows of it."""
        connection, self.connection = self.connection, None
        if connection and connection.usable:
            await connection.quit()
        elif connection:
            self.dirty |= not connection.closed_by_peer
            connection.abort()
        if self.dirty:
            await asyncio.sleep(UNHEARD)
            self.dirty = False
