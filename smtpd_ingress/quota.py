"""How much users may send: rates (mails) and a daily quota (recipients), over all processes and restarts.

Counters lie in KV (``common.users.usage``). A process reserves a chunk of a counter by compare-and-set, gives it away
by itself within the chunk's slot, and gives back what is left with its next reservation, or when it stops.

How exact that is:

- Never more than n in any window, whatever dies or starts anew; by the clocks of the machines, so two of them that
  differ by d may let through what fits into d.
- Less than n by what other processes hold at that time: a hundredth of the quota each, a twentieth of a rate, and less
  towards the end, where a chunk is a tenth of what is left. What a killed process held counts as used until its window
  has passed.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable

import structlog

from common.broker import Broker, BrokerError, BrokerFailure
from common.codes import LOCAL_ERROR, Reply
from common.units import format_duration
from common.users import usage
from common.users.usage import Bound, bounds
from common.users.user import User

log = structlog.get_logger()

# To be tried again: the client's queue waits, and it passes.
OVER_RATE = Reply(450, "4.7.1", "Too many mails")
OVER_QUOTA = Reply(452, "4.7.1", "Too many recipients")
# Never to pass: a 4xx would keep it in the client's queue for days.
NEVER = Reply(550, "5.7.1", "Too many recipients")
#: Tries of a reservation while other processes change the same counter.
_TRIES = 50
#: Seconds that a mail waits for its turn and the broker: many of one user wait in line.
PATIENCE = 20.0


_Needs = list[tuple[Bound, int]]
_Chunks = dict[str, dict[int, int]]
"""A bound's key to slot: how many are left. Only those of the slot that is now may be given away."""


class Reservation:
    """What a mail has taken."""

    def __init__(self, give_back: Callable[[_Chunks], None], taken: _Chunks) -> None:
        self._give_back, self._taken = give_back, taken

    def give_back(self) -> None:
        """The mail was not queued after all; once is enough."""
        taken, self._taken = self._taken, {}
        self._give_back(taken)


class Quotas:
    """Reserves for one process. ``clock`` gives seconds since 1970."""

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.time) -> None:
        self._broker, self._clock = broker, clock
        self._chunks: dict[str, _Chunks] = {}
        self._bounds: dict[str, list[Bound]] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def reserve(self, user: User, recipients: int) -> Reservation | Reply:
        """Take what a mail to so many recipients needs, or the reply that refuses it; then nothing is taken.

        To be asked once for each mail, when the number of recipients is known and before it is queued.
        """
        needs = [(bound, recipients if bound.what == "recipients" else 1) for bound in bounds(user)]
        if taken := self._take(user.name, needs):
            return taken
        for bound, needed in needs:
            if needed > bound.amount:
                return NEVER.but(f"Too many recipients: {needed}, where user {user.name} may have {bound}")
        try:
            async with asyncio.timeout(PATIENCE), self._locks[user.name]:
                return self._take(user.name, needs) or await self._fetch(user.name, needs)
        except (BrokerFailure, TimeoutError) as failure:
            log.warning(f"quota: user {user.name}: nothing can be reserved: {failure or 'no answer in time'}")
            return LOCAL_ERROR

    async def close(self) -> None:
        """Give back what is left."""
        for name in [name for name, chunks in self._chunks.items() if any(map(sum, map(dict.values, chunks.values())))]:
            try:
                async with asyncio.timeout(5), self._locks[name]:
                    await self._change(name, [])
            except (BrokerFailure, TimeoutError) as failure:
                log.warning(f"quota: user {name}: what is left counts as used: {failure}")

    def _take(self, name: str, needs: _Needs) -> Reservation | None:
        """From what the process has."""
        now, chunks = self._clock(), self._chunks.get(name, {})
        taken = {bound.key: {bound.slot(now): needed} for bound, needed in needs}
        if any(chunks.get(key, {}).get(slot, 0) < n for key, slots in taken.items() for slot, n in slots.items()):
            return None
        self._put(name, taken, -1)
        return Reservation(lambda taken: self._put(name, taken), taken)

    def _put(self, name: str, some: _Chunks, sign: int = 1) -> None:
        """Add to what the process has."""
        chunks = self._chunks.setdefault(name, {})
        for key, slots in some.items():
            own = chunks.setdefault(key, {})
            for slot, count in slots.items():
                own[slot] = own.get(slot, 0) + sign * count

    async def _fetch(self, name: str, needs: _Needs) -> Reservation | Reply:
        self._bounds[name] = [bound for bound, _ in needs]
        for _ in range(_TRIES):
            if refused := await self._change(name, needs):
                return refused
            if taken := self._take(name, needs):  # else the slot has ended meanwhile
                return taken
        return LOCAL_ERROR

    async def _change(self, name: str, needs: _Needs) -> Reply | None:
        """Give back all that is left and take new chunks, in one step. Raises BrokerFailure."""
        for _ in range(_TRIES):
            counted, sequence = await usage.read(self._broker, name)
            now = self._clock()
            left = self._chunks.pop(name, {})  # ours no more: whether the step was stored may stay unknown
            for bound in self._bounds[name]:
                for slot, count in left.get(bound.key, {}).items():
                    counted.add(bound, slot, -count)
            fresh: _Chunks = {}
            for bound, needed in needs:
                free = bound.amount - counted.used(bound, now)
                if free < needed:
                    self._put(name, left)
                    return _refusal(bound, counted.wait(bound, needed, now))
                count = needed + min(bound.chunk, (free - needed) // 10)
                counted.add(bound, bound.slot(now), count)
                fresh[bound.key] = {bound.slot(now): count}
            try:
                await usage.write(self._broker, name, counted.pack(self._bounds[name], now), sequence)
            except BrokerError as error:
                self._put(name, left)  # known: nothing was stored
                if error.code not in BrokerError.WRONG_SEQUENCE:
                    raise
                await asyncio.sleep(random.random() * 0.01)  # another process was quicker
                continue
            self._put(name, fresh)
            return None
        return LOCAL_ERROR


def _refusal(bound: Bound, wait: float) -> Reply:
    reply = OVER_QUOTA if bound.what == "recipients" else OVER_RATE
    return reply.but(f"{reply.text}: {bound} is the limit, try again in {format_duration(max(1.0, wait))}")
