"""Slots: what may be held at the same time under one key, who holds it and who stands in line."""

from collections import Counter
from dataclasses import dataclass, field

#: Seconds in which all workers know of a changed rule (``policies.EVERY``, and some).
SETTLED = 4.0


@dataclass(frozen=True, slots=True)
class Slot:
    """One right to one connection, asked for by a worker under a number of its own."""

    worker: str
    number: int
    group: str = field(compare=False)
    """What of the worker it is for: a site. Groups share what there is."""


class Slots:
    """At most ``amount`` held at a time; who comes when all are taken stands in line. Groups share them evenly."""

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.held: set[Slot] = set()
        self._asked = float("-inf")
        self._line: dict[Slot, float] = {}  # with the time until which who does not ask again is forgotten

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @property
    def unused(self) -> bool:
        """Nothing would be lost by forgetting it."""
        return not (self.held or self._line)

    def limit(self, amount: int, now: float) -> None:
        """Somebody asks under this limit. Of two amounts the lower counts, until it has not been asked under for long:
        workers learn of a change one after the other."""
        if amount <= self.amount or now - self._asked > SETTLED:
            self.amount, self._asked = amount, now

    def ask(self, slot: Slot, until: float) -> bool:
        """Whether it is granted, at once or since it was asked for first; if not, it stands in line ``until``."""
        if slot in self.held:
            return True
        self._line[slot] = until
        return False

    def free(self, slot: Slot) -> None:
        """It is given back, or not wanted any more."""
        self.held.discard(slot)
        self._line.pop(slot, None)

    def keep(self, worker: str, numbers: set[int], upto: int, groups: dict[int, str]) -> None:
        """A worker says which of the slots that it had asked for, up to a number, it holds or still waits for."""
        for slot in [s for s in (*self.held, *self._line) if s.worker == worker and s.number <= upto]:
            if slot.number not in numbers:
                self.free(slot)
        self.held |= {Slot(worker, number, group) for number, group in groups.items()}

    def forget(self, worker: str) -> None:
        """A worker is gone."""
        for slot in [s for s in (*self.held, *self._line) if s.worker == worker]:
            self.free(slot)

    def grant(self, now: float) -> list[Slot]:
        """Whose turn it is: of those who have least the first that came; they hold it from now on."""
        for gone in [slot for slot, until in self._line.items() if until < now]:
            del self._line[gone]
        granted = []
        while len(self.held) < self.amount and (slot := self.next()):
            del self._line[slot]
            self.held.add(slot)
            granted.append(slot)
        return granted

    def next(self) -> Slot | None:
        """Who is next in line."""
        shares = self._shares() if len(self._line) > 1 else Counter()
        return min(self._line, key=lambda slot: _share(slot, shares), default=None)

    def to_yield(self, asker: Slot) -> Slot | None:
        """A slot of who holds most, where it is fair that it is given up for who asks."""
        shares = self._shares()
        most = max(self.held, key=lambda slot: _share(slot, shares), default=None)
        if most is None:
            return None
        theirs, ours = _share(most, shares), _share(asker, shares)
        if most.group == asker.group:
            theirs, ours = theirs[1:], ours[1:]
        if ours[0] and theirs[0] < ours[0] + 2:
            return None  # it would only ask back
        return most

    def _shares(self) -> Counter[tuple[str, ...]]:
        """How many are held by group, and by worker and group."""
        groups = Counter[tuple[str, ...]]((slot.group,) for slot in self.held)
        return groups + Counter[tuple[str, ...]]((slot.worker, slot.group) for slot in self.held)


def _share(slot: Slot, shares: Counter[tuple[str, ...]]) -> tuple[int, ...]:
    return shares[(slot.group,)], shares[(slot.worker, slot.group)]
