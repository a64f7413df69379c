"""A line: what waits to go one way, and what holds it back."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from common.limits.limit import Limit
from common.queue.bands import Bands
from common.queue.taken import Taken
from outbound.pace import Pace
from outbound.site import Site
from outbound.ways import Way


class Parked(NamedTuple):
    """An entry that waits, and since when."""

    taken: Taken
    way: Way
    since: float
    expires: float


@dataclass(eq=False, slots=True)
class Line:
    """What goes one way: over one site, under the same limits. Those of a site take turns."""

    key: tuple[str, object, str]
    site: Site
    pace: Pace
    waiting: Bands[Parked] = field(default_factory=Bands)
    tokens: int = 0
    """How many wait for tokens."""
    until: float = 0.0
    """Nothing goes before (monotonic clock)."""
    why: str = ""
    since: float = 0.0
    timer: asyncio.TimerHandle | None = None

    @property
    def may_go(self) -> bool:
        """Whether another attempt is of use now."""
        return not self.enough_wait and time.monotonic() >= self.until

    @property
    def enough_wait(self) -> bool:
        """As many as there is use for wait for tokens, each on a connection."""
        return 0 < self.pace.ahead <= self.tokens

    @property
    def waits_for(self) -> str:
        """What holds it back."""
        if time.monotonic() < self.until:
            return self.why
        if self.enough_wait:
            slowest = min(self.pace.messages + self.pace.connects, key=lambda limit: limit.amount / limit.per)
            return token_of(slowest)
        if limit := self.site.waits_for:
            return f"one of {limit}"
        return "its turn"


def token_of(limit: Limit) -> str:
    """What is waited for where a rate has none."""
    return f"a token of {limit}"
