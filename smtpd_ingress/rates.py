"""How often something may come: the generic cell rate algorithm over many keys, of which the last are remembered."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable

#: Keys that are remembered; the longest ago is forgotten first.
REMEMBERED = 20_000


class Rates:
    """Counts what came in one process. ``clock`` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: OrderedDict[Hashable, float] = OrderedDict()
        """When all so far of a key would have come, had they come evenly."""

    def __len__(self) -> int:
        return len(self._due)

    def in_time(self, limits: Iterable[tuple[Hashable, int, float]]) -> bool:
        """Whether one more keeps to all limits (key, how many in how many seconds); then it is counted."""
        now, due = self._clock(), {}
        for key, number, seconds in limits:
            due[key] = max(self._due.get(key, now), now) + seconds / number
            if due[key] > now + seconds:
                return False
        for key, when in due.items():
            self._due[key] = when
            self._due.move_to_end(key)
        while len(self._due) > REMEMBERED:
            self._due.popitem(last=False)
        return True
