"""What a worker asks: slots for its connections, tokens for what it begins.

The owner of a key may be this worker itself: then it is a function call and no message is sent.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from common.limits.limit import Limit
from common.limits.owner import Owner
from common.limits.owners import Owners
from common.limits.rates import HORIZON, grace
from common.limits.slots import Slot

#: Who stands in line asks again after so many seconds: messages get lost, and owners change.
ASK_AGAIN = 1.0
#: Seconds before an owner is asked again that does not answer, or is none any more.
RETRY = 0.2
_ROUNDS = 8


class Post(Protocol):
    """The way to other workers."""

    async def ask(self, worker: str, verb: str, *arguments: object) -> Any:
        """The worker's answer; None where there is none, or it does not own what it is asked about."""

    def tell(self, worker: str, verb: str, *arguments: object) -> None:
        """Send without an answer; it may get lost."""


class Nobody:
    """For a worker that is alone."""

    async def ask(self, worker: str, verb: str, *arguments: object) -> Any:
        return None

    def tell(self, worker: str, verb: str, *arguments: object) -> None:
        return


@dataclass(eq=False, slots=True)
class _Held:
    """A slot that is held or waited for."""

    limit: Limit
    group: str
    has: bool = False
    lapses: int = 0
    """How often we had lapsed when it was granted."""
    turn: asyncio.Future[None] | None = None
    """Done when it is our turn."""


class Lease:
    """The right to one connection: a slot under each of its limits, until it is released."""

    __slots__ = ("_lapses", "_limiter", "_numbers")

    def __init__(self, limiter: "Limiter", numbers: list[int], lapses: int = 0) -> None:
        self._limiter, self._numbers, self._lapses = limiter, numbers, lapses

    @property
    def valid(self) -> bool:
        """Whether more may be begun with it: not after others may have taken us for dead and what we hold for free."""
        return not self._numbers or self._limiter.is_good(self._lapses)

    def release(self) -> None:
        """Give it back; once is enough."""
        numbers, self._numbers = self._numbers, []
        for number in numbers:
            self._limiter.free(number)


@dataclass(slots=True)
class _Token:
    """Good from ``usable`` to ``until``, by our clock; ``at`` is its time by the owner's."""

    usable: float
    until: float
    at: float


class Limiter:
    """Asks the owners of limits on behalf of one worker."""

    def __init__(self, owners: Owners, post: Post, now: Callable[[], float] = time.monotonic) -> None:
        self.owners, self._post, self._now = owners, post, now
        self.owner = Owner(owners, self._tell, now)
        self.on_wanted: Callable[[str, str, bool], None] = lambda _key, _group, _spare: None
        """Told key and group (a site) of which others want a connection, and whether only what is idle."""
        self._slots: dict[int, _Held] = {}
        self._last = self._lapses = 0

    @classmethod
    def alone(cls) -> "Limiter":
        """For one worker without a broker."""
        return cls(Owners.alone(), Nobody())

    # --- slots ---

    def lease_now(self, limits: Iterable[Limit], group: str) -> Lease | None:
        """A slot under each limit, if we own them all and have them; else nothing is held."""
        numbers: list[int] = []
        for limit in limits:
            if self.owners.owner(limit.key) != self.owners.me:
                break
            numbers.append(number := self._number(limit, group))
            if not self.owner.slot(limit, Slot(self.owners.me, number, group)):
                break
            self._has(self._slots[number])
        else:
            return Lease(self, numbers, self._lapses)
        Lease(self, numbers).release()
        return None

    async def lease(self, limits: Sequence[Limit], group: str, waits: Callable[[Limit], None]) -> Lease:
        """Wait for a slot under each limit. ``waits`` is told the limit in whose line we stand.

        Who waits under one limit holds nothing under the others.
        """
        order = sorted(limits, key=lambda limit: limit.amount)
        numbers: list[int] = []
        try:
            while full := await self._ask_all(order[len(numbers) :], group, numbers):
                *others, first = numbers
                numbers[:] = [first]
                for number in others:
                    self.free(number)
                waits(full)
                await self._granted(first)
                order = [full, *(limit for limit in order if limit is not full)]
        except BaseException:
            Lease(self, numbers).release()
            raise
        return Lease(self, numbers, min((self._slots[number].lapses for number in numbers), default=0))

    async def _ask_all(self, limits: Iterable[Limit], group: str, numbers: list[int]) -> Limit | None:
        """The first limit that has no slot for us; ``numbers`` gets what was asked for."""
        for limit in limits:
            numbers.append(self._number(limit, group))
            if not await self._ask(numbers[-1]):
                return limit
        return None

    def free(self, number: int) -> None:
        """A slot is not held, or not wanted, any more."""
        held = self._slots.pop(number)
        owner = self.owners.owner(held.limit.key)
        if owner == self.owners.me:
            self.owner.free(held.limit.key, Slot(owner, number, held.group))
        elif owner:
            self._post.tell(owner, "free", held.limit.key, number, held.group)

    def granted(self, worker: str, key: str, number: int) -> None:
        """A worker that takes itself for the owner says that it is our turn."""
        held = self._slots.get(number)
        # not wanted any more, or the new owner does not know, or it is old news
        if held is None or self.owners.owner(key) != worker or not self.owners.is_fresh(self._now()):
            self._post.tell(worker, "free", key, number, held.group if held else "")
        elif not held.has:
            self._has(held)
            if held.turn and not held.turn.done():
                held.turn.set_result(None)

    def is_good(self, lapses: int) -> bool:
        """Whether what was granted when we had lapsed so often is ours still, as far as anybody may know."""
        return lapses == self._lapses and self.owners.is_fresh(self._now())

    def lapse(self) -> None:
        """Others may have taken us for dead: what we hold counts until it is released, but is not good for more."""
        self._lapses += 1
        self.owner.heard_nobody()

    def report(self, owner: str) -> tuple[int, dict[str, dict[int, str]], list[int]]:
        """What we hold and wait for of an owner's keys, as ``Owner.report`` takes it."""
        held: defaultdict[str, dict[int, str]] = defaultdict(dict)
        waiting = []
        for number, slot in self._slots.items():
            if self.owners.owner(slot.limit.key) == owner:
                if slot.has:
                    held[slot.limit.key][number] = slot.group
                else:
                    waiting.append(number)
        return self._last, held, waiting

    def report_home(self) -> None:
        """What we hold of keys that have come to us."""
        upto, held, waiting = self.report(self.owners.me)
        self.owner.report(self.owners.me, upto, held, set(waiting))

    def _number(self, limit: Limit, group: str) -> int:
        self._last += 1
        self._slots[self._last] = _Held(limit, group)
        return self._last

    async def _ask(self, number: int) -> bool:
        """Whether a slot is granted; if not, we stand in line."""
        held = self._slots[number]
        key, owner = held.limit.key, self.owners.owner(held.limit.key)
        held.turn = held.turn or asyncio.get_running_loop().create_future()
        if owner == self.owners.me:
            granted = self.owner.slot(held.limit, Slot(owner, number, held.group))
        elif not owner:
            granted = False
        else:
            granted = bool(await self._post.ask(owner, "slot", *_wired(held.limit), number, held.group))
            # the new owner does not know of it, or the answer is old
            if granted and (self.owners.owner(key) != owner or not self.owners.is_fresh(self._now())):
                self._post.tell(owner, "free", key, number, held.group)
                granted = False
        if granted and not held.has:
            self._has(held)
        return held.has

    def _has(self, held: _Held) -> None:
        held.has, held.lapses = True, self._lapses

    async def _granted(self, number: int) -> None:
        held = self._slots[number]
        while not held.has:
            assert held.turn
            await asyncio.wait([held.turn], timeout=ASK_AGAIN)
            if not held.has:
                await self._ask(number)

    # --- tokens ---

    async def tokens(self, limits: Sequence[Limit]) -> tuple[float, Limit | None]:
        """Take a token of each rate, to be used at once: (0, None), which may take as long as the horizon.

        Or how many seconds it will be before there is one, and of which limit; then none is taken.
        """
        taken: dict[Limit, _Token] = {}
        at = 0.0
        for _ in range(_ROUNDS):
            for limit in sorted(limits, key=lambda limit: limit.amount / limit.per):
                if limit in taken:
                    if at <= taken[limit].until:
                        continue
                    self._give_back(limit, taken.pop(limit))
                sent = self._now()
                wait, time_ = await self._token(limit, max(0.0, at - sent))
                if not time_ or wait > HORIZON:
                    for other, token in taken.items():
                        self._give_back(other, token)
                    return max(wait, RETRY), limit
                token = taken[limit] = _Token(self._now() + wait, sent + wait + grace(limit.per) / 2, time_)
                at = max(at, token.usable)
            if all(at <= token.until for token in taken.values()):
                at = await self._until(at)
                if all(at <= token.until for token in taken.values()):
                    return 0.0, None
        return RETRY, limit

    async def _until(self, at: float) -> float:
        """Sleep until then, or a moment longer; the time it is."""
        while (left := at - self._now()) > 0:  # noqa: ASYNC110 (a timer may be early)
            await asyncio.sleep(left)
        return self._now()

    async def _token(self, limit: Limit, earliest: float) -> tuple[float, float]:
        owner = self.owners.owner(limit.key)
        if owner == self.owners.me:
            return self.owner.token(limit, earliest)
        answer = owner and await self._post.ask(owner, "token", *_wired(limit), earliest)
        return (answer[0], answer[1]) if answer else (RETRY, 0.0)

    def _give_back(self, limit: Limit, token: _Token) -> None:
        owner = self.owners.owner(limit.key)
        if owner == self.owners.me:
            self.owner.give_back(limit, token.at)
        elif owner:
            self._post.tell(owner, "back", *_wired(limit), token.at)

    # --- what an owner says ---

    def _tell(self, worker: str, verb: str, key: Any, what: Any) -> None:
        if worker != self.owners.me:
            self._post.tell(worker, verb, key, what)
        elif verb == "granted":
            self.granted(worker, key, what)
        else:
            self.on_wanted(key, what, verb == "spare")


def _wired(limit: Limit) -> tuple[str, str, int, float]:
    return limit.key, str(limit.what), limit.amount, limit.per
