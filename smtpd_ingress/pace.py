"""How slowly a message may come in, without I/O: who sends a byte a minute would hold a connection for years."""

#: Seconds that any message may take, and bytes a second that it must bring after them. RFC 5321 4.5.3.2.5 gives
#: a client 3 minutes for each block, which a message of the usual size has in its grace; a modem is quicker than this.
GRACE, MIN_RATE = 600.0, 1000.0


class Pace:
    """One message."""

    def __init__(self, began: float) -> None:
        self._began = began
        self.taken = 0
        """Bytes that came."""

    def left(self, now: float) -> float:
        """Seconds until it has taken too long, on the clock of ``began``; 0: it has."""
        return max(self._began + GRACE + self.taken / MIN_RATE - now, 0.0)
