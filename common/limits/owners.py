"""Who owns a key, and from when on it may grant.

Each key belongs to one of the live workers of all pools, by rendezvous hash. When the set of workers changes, or a
worker starts anew, its owner is ready once every worker has told it that it sees the same set, and with it what it
holds: then nobody grants as the old owner any more. Who says nothing is waited for as long as its lease may last.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.limits.rates import GRACE_MOST, HORIZON
from common.queue.streams import LEASE

#: Who has not seen the set of workers for so long does not grant, for it may own less than it knows, nor use what it
#: was granted: others take it for dead LEASE after its last sign of life, which is at most ``leases.RENEW`` older.
FRESH = 6.0
#: Seconds for which tokens that a former owner has granted may still be used.
SETTLE = HORIZON + GRACE_MOST
_MOST_ERAS, _MOST_KEYS = 50, 20_000


def owner_of(key: str, workers: Iterable[str]) -> str:
    """The worker with the highest random weight for a key; "" where there is none."""
    return max(workers, key=lambda worker: hashlib.blake2b(f"{worker} {key}".encode()).digest(), default="")


def digest(workers: Iterable[str]) -> str:
    """Names a set of workers."""
    return hashlib.blake2b(" ".join(sorted(workers)).encode(), digest_size=8).hexdigest()


@dataclass(eq=False, slots=True)
class Era:
    """A time with one set of workers."""

    at: float
    workers: frozenset[str]
    ready: float
    """From when on keys that came with it may be granted; at the latest, until all agree."""
    settled: float
    """When the last tokens of a former owner that is dead are used up; of one that lives they are SETTLE later."""
    former_lives: bool

    @property
    def empty_at(self) -> float:
        """When the rates of keys that came with it start, empty."""
        return max(self.settled, self.ready + SETTLE if self.former_lives else self.ready)


class Owners:
    """What one worker knows of who owns what. All times are of its own clock, in seconds."""

    def __init__(self, me: str, founders: Iterable[str] = (), founded: float = float("-inf")) -> None:
        """``founders`` is who starts together at ``founded`` where no worker lived before; ``me`` among them."""
        self.me = me
        self.seen = float("-inf")
        """When it was asked who lives."""
        self._founders, self._founded = frozenset(founders), founded
        self._complete = float("-inf")
        self._eras: list[Era] = []
        self._others: frozenset[str] = frozenset()
        self._agreed: dict[str, str] = {}
        self._cache: dict[str, str] = {}
        self._since: dict[str, Era] = {}

    @classmethod
    def alone(cls, me: str = "me") -> "Owners":
        """For one worker without others and without a broker."""
        owners = cls(me, [me], 0.0)
        owners.see(0.0, {me: ""}, ())
        owners.seen = float("inf")
        return owners

    @property
    def workers(self) -> frozenset[str]:
        """Who owns keys now."""
        return self._eras[-1].workers if self._eras else frozenset()

    @property
    def digest(self) -> str:
        """Names the set of workers now."""
        return digest(self.workers)

    def incomplete(self, until: float) -> None:
        """Leases may be missing until then: who is not there may be alive."""
        self._complete = max(self._complete, until)

    def is_complete(self, now: float) -> bool:
        """Who has no lease does not live."""
        return now >= self._complete

    def is_fresh(self, now: float) -> bool:
        """Whether we know who lives, and nobody can have taken us for dead."""
        return now - self.seen <= FRESH

    def see(
        self, now: float, live: Mapping[str, str], leaving: Iterable[str], asked: float | None = None
    ) -> bool:
        """Take in who lives (name to incarnation) and who finishes what it has begun; whether owners changed.

        ``asked``: when the question was sent, where that is not now. Whoever stood still meanwhile has an old answer.
        """
        gone = frozenset(leaving)
        workers = frozenset(live)
        if not self.is_complete(now):
            workers |= self.workers - gone
        founding = not self._eras and now < self._founded + LEASE and self._is_founder(live)
        if founding or (self._eras and now < self._founded + LEASE):
            workers |= self._founders - gone
        elif not self._eras:
            self._founders = frozenset()  # we have lived before
        self.seen = now if asked is None else asked
        self._others = (frozenset(live) | gone) - {self.me}
        changed = not self._eras or workers != self.workers
        if changed:
            # who said this of the former set would have to say it again, were it to come back
            self._agreed = {worker: seen for worker, seen in self._agreed.items() if seen != self.digest}
            if founding or self._is_first_alone():
                era = Era(now, workers, now, now, former_lives=False)
            else:
                reborn = not self._eras and self.me in live
                era = Era(now, workers, now + LEASE, now + SETTLE, former_lives=not reborn)
            self._eras = [*self._eras[1 - _MOST_ERAS :], era]
            self._cache.clear()
            self._since.clear()
        self._settle(now)
        return changed

    def agree(self, now: float, worker: str, seen: str) -> None:
        """Another worker says which set of workers it sees."""
        self._agreed[worker] = seen
        self._settle(now)

    def owner(self, key: str) -> str:
        """Whom to ask about a key; "" where nobody lives."""
        if (known := self._cache.get(key)) is None:
            if len(self._cache) > _MOST_KEYS:
                self._cache.clear()
            known = self._cache[key] = owner_of(key, self.workers)
        return known

    def since(self, key: str) -> Era:
        """The era with which a key became ours and stayed so until now."""
        if (known := self._since.get(key)) is None:
            if len(self._since) > _MOST_KEYS:
                self._since.clear()
            for era in reversed(self._eras):
                if owner_of(key, era.workers) != self.me:
                    break
                known = era
            assert known, "not ours"
            self._since[key] = known
        return known

    def wait(self, key: str, now: float) -> float:
        """Seconds before a key of ours may be granted."""
        if not self.is_fresh(now):
            return 1.0
        return max(0.0, self.since(key).ready - now)

    def _is_founder(self, live: Mapping[str, str]) -> bool:
        """One of those who start together, for the first time: who lives is one of them, and not we ourselves."""
        return self.me in self._founders and set(live) <= self._founders - {self.me}

    def _is_first_alone(self) -> bool:
        return not self._eras and not self._others and self.is_complete(self.seen)

    def _settle(self, now: float) -> None:
        """Once all see what we see, nobody grants what is ours."""
        if self.is_complete(now) and all(self._agreed.get(other) == self.digest for other in self._others):
            for era in self._eras:
                era.ready = min(era.ready, now)
