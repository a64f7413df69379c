"""A rate that holds in every window: at most ``amount`` in any ``per`` seconds, by the clock of who is served.

A token is granted by the generic cell rate algorithm (virtual scheduling, ITU-T I.371): one every ``interval``,
bursts of a twentieth. It is used within ``grace`` of its time, so who is served sees what was granted in a window
that is longer by ``grace``; the interval makes up for that:

    granted in less than per + grace  <=  burst + (per + grace) / interval - 1  =  amount
"""

from dataclasses import dataclass, field

#: Seconds that a token may be promised ahead.
HORIZON = 2.0
#: The shortest and the longest time in which a token is to be used, and its part of the window between them.
GRACE_LEAST, GRACE_MOST, GRACE_PART = 0.02, 1.0, 0.05


def grace(per: float) -> float:
    """Seconds from the moment that a token is good for until its use has reached who is served."""
    return min(max(per * GRACE_PART, GRACE_LEAST), GRACE_MOST)


@dataclass(slots=True)
class Rate:
    """Grants the tokens of one limit. All times are of one clock, in seconds.

    It starts empty at ``since``: so it grants no more than what its predecessor, whose last token is older,
    would have granted, whatever that was.
    """

    amount: int
    per: float
    since: float
    _next: float = field(init=False)
    """When the next token would be due were there no bursts (the algorithm's theoretical arrival time)."""
    _spent: float = field(init=False)
    """``_next`` less one token, as the last one that was taken left it."""
    _undo: tuple[float, float] = field(init=False, default=(-1.0, 0.0))
    """The last token's time and what ``_next`` was before it."""

    def __post_init__(self) -> None:
        self._spent = self.since
        self._next = self.since + self.burst * self.interval

    @property
    def burst(self) -> int:
        """How many may come at once."""
        return max(1, self.amount // 20)

    @property
    def interval(self) -> float:
        """Seconds from token to token."""
        return (self.per + grace(self.per)) / (self.amount - self.burst + 1)

    def change(self, amount: int, now: float) -> None:
        """Another amount from now on; it starts empty, behind the last token."""
        if amount != self.amount:
            self.amount = amount
            self._next = max(self._spent, now) + self.burst * self.interval

    def take(self, now: float, earliest: float = 0.0) -> float:
        """The time of a token, not before ``earliest``; one beyond the horizon is told and not taken."""
        at = max(now, earliest, self._next - (self.burst - 1) * self.interval)
        if at <= now + HORIZON:
            self._undo = (at, self._next)
            self._spent = max(at, self._next)
            self._next = self._spent + self.interval
        return at

    def give_back(self, at: float) -> None:
        """The token of that time is not used: another may have it, where none was granted since."""
        if self._undo[0] == at:
            self._next = self._undo[1]
            self._undo = (-1.0, 0.0)

    def wait(self, now: float) -> float:
        """Seconds before a token that was asked for now."""
        return max(0.0, self._next - (self.burst - 1) * self.interval - now)

    def is_full(self, now: float) -> bool:
        """Nothing would be lost by forgetting it."""
        return self._next <= now
