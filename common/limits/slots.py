"""Slots: what may be held at the same time under one key, who holds it and who stands in line."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Slot:
    """One right to one connection, asked for by a worker under a number of its own."""

    worker: str
    number: int
    group: str = field(compare=False)
    """What of the worker it is for: a site. Groups share what there is."""


class Slots:
    """At most ``amount`` held at a time; who comes when all are taken stands in line."""

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.held: set[Slot] = set()
        self._line: dict[Slot, float] = {}  # with the time until which who does not ask again is forgotten

    @property
    def unused(self) -> bool:
        """Nothing would be lost by forgetting it."""
        return not (self.held or self._line)

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
        """Whose turn it is, in the order in which they came; they hold it from now on."""
        granted = []
        for slot, until in list(self._line.items()):
            if len(self.held) >= self.amount:
                break
            del self._line[slot]
            if until >= now:
                self.held.add(slot)
                granted.append(slot)
        return granted

    def to_yield(self, asker: Slot) -> Slot | None:
        """A slot of the group that holds most, where it is fair that it gives one up for who asks."""
        counts = Counter((slot.worker, slot.group) for slot in self.held)
        own = counts.pop((asker.worker, asker.group), 0)
        most, count = max(counts.items(), key=lambda item: item[1], default=(None, 0))
        if own and count < own + 2:
            return None  # it would only ask back
        return next((slot for slot in self.held if (slot.worker, slot.group) == most), None)
