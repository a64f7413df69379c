"""When a message is tried again, and when an endpoint is left alone. No I/O."""

#: Seconds until the next try, after the first, the second … and any later one.
DELAYS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
LATER = 43_200.0
#: The part of a delay by which it may be shorter or longer.
JITTER = 0.2
#: The most that an endpoint's own ``Retry-After`` asks for.
MOST_ASKED = 86_400.0


def delay(tries: int, chance: float, asked: float = 0) -> float:
    """Seconds to wait after so many tries; ``chance`` is random in [0, 1), ``asked`` what the endpoint asked for."""
    planned = DELAYS[tries - 1] if tries <= len(DELAYS) else LATER
    return max(planned * (1 - JITTER + 2 * JITTER * chance), min(asked, MOST_ASKED))


class Breaker:
    """Leaves an endpoint alone that fails again and again: what waits for it stays where it is, untouched.

    Then one at a time looks whether it answers. Times in seconds, on any clock.
    """

    #: Failures without a success between them, after which it is left alone; for so long, twice that …, so long.
    FAILURES, FIRST, MOST = 5, 5.0, 300.0

    def __init__(self) -> None:
        self._failures = self._looks = 0
        self._until = 0.0
        self._looking = False

    @property
    def is_open(self) -> bool:
        """Whether it is left alone."""
        return self._failures >= self.FAILURES

    def pause(self, now: float) -> float:
        """Seconds until it is worth asking again; 0: go, and tell what came of it."""
        if not self.is_open:
            return 0.0
        if now < self._until:
            return self._until - now
        if self._looking:
            return 1.0
        self._looking = True
        return 0.0

    def nothing(self) -> None:
        """There was nothing to send, or nobody knows what came of it."""
        self._looking = False

    def succeeded(self) -> bool:
        """It answers; whether it was left alone before."""
        was_open = self.is_open
        self._failures, self._looks, self._looking = 0, 0, False
        return was_open

    def failed(self, now: float) -> bool:
        """It failed; whether it is left alone from now on, and was not before."""
        if self.is_open and not self._looking:  # it was on its way by then
            return False
        self._failures += 1
        self._looking = False
        if self.is_open:
            self._until = now + min(self.FIRST * 2.0**self._looks, self.MOST)
            self._looks = min(self._looks + 1, 30)
        return self._failures == self.FAILURES
