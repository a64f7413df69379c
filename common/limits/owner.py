"""The owner's side: grants the slots and tokens of the keys that are a worker's own. No I/O."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from common.limits.limit import Limit
from common.limits.owners import Owners
from common.limits.rates import Rate
from common.limits.slots import Slot, Slots
from common.queue.streams import LEASE

#: Who stands in line and does not ask again for so many seconds is passed over.
PATIENCE = 3.0
#: Who asks an owner that is not ready yet is told to come back after so many seconds at most.
SOON = 0.25
#: Seconds between two requests to give up slots of one key.
YIELD_EVERY = 0.5

#: Told worker, verb and arguments: ``granted`` key number; ``yield`` key group: give up one slot; ``spare`` key group:
#: give up what is idle.
Tell = Callable[[str, str, object, object], None]


class Use(NamedTuple):
    """How much of a limit is used, as its owner sees it."""

    used: int
    """Slots that are held; 0 of a rate."""
    waiting: int
    """Who stands in line for a slot."""
    wait: float
    """Seconds before the next token, or before anything of this key is granted."""


class Owner:
    """State by key. ``tell`` reaches a worker; ``now`` is the clock."""

    def __init__(self, owners: Owners, tell: Tell, now: Callable[[], float] = time.monotonic) -> None:
        self.owners = owners
        self._tell, self._now = tell, now
        self._slots: dict[str, Slots] = {}
        self._rates: dict[tuple[str, str, float], Rate] = {}
        self._heard: dict[str, tuple[str, float]] = {}  # worker: incarnation, last time
        self._keys: defaultdict[str, set[str]] = defaultdict(set)  # worker: where it holds slots or stands in line
        self._yielded: dict[str, float] = {}

    def hear(self, worker: str, incarnation: str) -> None:
        """A worker lives. What an earlier incarnation of it held was closed when that died."""
        known, _ = self._heard.get(worker, (incarnation, 0.0))
        if known != incarnation:
            self._forget(worker)
        self._heard[worker] = (incarnation, self._now())

    def heard_nobody(self) -> None:
        """We stood still: who is silent as far as we know may have spoken, and has a lease from now on."""
        now = self._now()
        self._heard = {worker: (incarnation, now) for worker, (incarnation, _) in self._heard.items()}

    def slot(self, limit: Limit, slot: Slot) -> bool:
        """Whether a slot is granted; if not, it stands in line and ``granted`` is told when it is its turn."""
        now = self._now()
        slots = self._at(limit.key, slot.worker)
        slots.limit(limit.amount, now)
        if slots.ask(slot, now + PATIENCE):
            return True
        self._grant(limit.key, slots, asker=slot)
        if slot in slots.held:
            return True
        if now >= self._yielded.get(limit.key, 0.0) and not self.owners.wait(limit.key, now):
            self._yielded[limit.key] = now + YIELD_EVERY
            self._make_room(limit.key, slots)
        return False

    def free(self, key: str, slot: Slot) -> None:
        """A slot is given back, or not wanted any more."""
        if slots := self._slots.get(key):
            slots.free(slot)
            self._grant(key, slots)

    def report(self, worker: str, upto: int, held: Mapping[str, Mapping[int, str]], waiting: set[int]) -> None:
        """What a worker holds of ours: key to number to group; and for what, asked ``upto`` a number, it waits."""
        for key in self._keys[worker] | set(held):
            mine = dict(held.get(key, {}))
            slots = self._at(key, worker)
            slots.keep(worker, set(mine) | waiting, upto, mine)
            self._grant(key, slots)

    def token(self, limit: Limit, earliest: float) -> tuple[float, float]:
        """Seconds to wait for a token (beyond the horizon it is not taken), and its time, by which it is given back.

        ``earliest`` is how many seconds from now it can be used.
        """
        now = self._now()
        if wait := self.owners.wait(limit.key, now):
            return min(wait, SOON), 0.0
        at = self._rate(limit).take(now, now + earliest)
        return at - now, at

    def give_back(self, limit: Limit, at: float) -> None:
        """A token is not used."""
        if rate := self._rates.get((limit.key, limit.what, limit.per)):
            rate.give_back(at)

    def tidy(self) -> None:
        """Forget what is not in use, and the slots of who has not been heard of for a lease."""
        now = self._now()
        for worker, (_, heard) in list(self._heard.items()):
            if now - heard > LEASE and self.owners.is_complete(now) and worker != self.owners.me:
                self._forget(worker)
        self._rates = {key: rate for key, rate in self._rates.items() if not rate.is_full(now)}
        self._keep({key: slots for key, slots in self._slots.items() if not slots.unused})
        self._yielded = {key: until for key, until in self._yielded.items() if until > now}

    def owners_changed(self) -> None:
        """Forget what is not ours any more.

        At no other time: who is quicker to see a change reports to us before we know that a key is ours.
        """
        owner, mine = self.owners.owner, self.owners.me
        self._rates = {key: rate for key, rate in self._rates.items() if owner(key[0]) == mine}
        self._keep({key: slots for key, slots in self._slots.items() if owner(key) == mine})

    def used(self, key: str) -> int:
        """How many slots of a key are held, as far as we know."""
        return len(slots.held) if (slots := self._slots.get(key)) else 0

    def use(self, limit: Limit) -> Use | None:
        """How much of a limit is used now; None where it is not ours."""
        if self.owners.owner(limit.key) != self.owners.me:
            return None
        now = self._now()
        wait = self.owners.wait(limit.key, now)
        if limit.per:
            rate = self._rates.get((limit.key, limit.what, limit.per))
            return Use(0, 0, max(wait, rate.wait(now) if rate else 0.0))
        slots = self._slots.get(limit.key)
        return Use(len(slots.held), slots.waiting, wait) if slots else Use(0, 0, wait)

    def _keep(self, slots: dict[str, Slots]) -> None:
        self._slots = slots
        for keys in self._keys.values():
            keys &= slots.keys()

    def _at(self, key: str, worker: str) -> Slots:
        if (slots := self._slots.get(key)) is None:
            slots = self._slots[key] = Slots(0)
        self._keys[worker].add(key)
        return slots

    def _rate(self, limit: Limit) -> Rate:
        key = (limit.key, limit.what, limit.per)
        if (rate := self._rates.get(key)) is None:
            era = self.owners.since(limit.key)
            rate = self._rates[key] = Rate(limit.amount, limit.per, era.empty_at)
        rate.change(limit.amount, self._now())
        return rate

    def _grant(self, key: str, slots: Slots, asker: Slot | None = None) -> None:
        now = self._now()
        if self.owners.owner(key) != self.owners.me or self.owners.wait(key, now):
            return
        for slot in slots.grant(now):
            if slot != asker:  # who asks just now is answered
                self._tell(slot.worker, "granted", key, slot.number)

    def _make_room(self, key: str, slots: Slots) -> None:
        if not (asker := slots.next()):
            return
        if giver := slots.to_yield(asker):
            self._tell(giver.worker, "yield", key, giver.group)
        holders = {(slot.worker, slot.group) for slot in slots.held} - {(asker.worker, asker.group)}
        for worker, group in holders - ({(giver.worker, giver.group)} if giver else set()):
            self._tell(worker, "spare", key, group)

    def _forget(self, worker: str) -> None:
        self._heard.pop(worker, None)
        for key in self._keys.pop(worker, ()):
            if slots := self._slots.get(key):
                slots.forget(worker)
                self._grant(key, slots)
