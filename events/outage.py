"""When something does not work for a while: told at once, then rarely, and once when it is over. No I/O."""

import time
from collections.abc import Callable

#: Seconds until it is told again.
REPEAT = 600.0


class Outage:
    """One thing that may not work. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._told = ""
        self._again = 0.0

    def goes_on(self, kind: str) -> bool:
        """It failed, or failed again; whether that is to be told: a new kind of failure always is."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        due = kind != self._told or now >= self._again
        if due:
            self._told, self._again = kind, now + REPEAT
        return due

    def ends(self) -> float | None:
        """It works; for how many seconds it did not, None when it did all the time."""
        since, self._since, self._told = self._since, None, ""
        return None if since is None else self._clock() - since
