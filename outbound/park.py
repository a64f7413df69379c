"""The park: entries that wait for a connection or a token, by site and policy, without content where room is short."""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from common.entry import Entry
from common.policies.policy import Policy
from common.queue.bands import Bands
from common.queue.taken import Taken
from common.workers import Waiting
from outbound.line import Line, Parked
from outbound.seat import Seat
from outbound.site import Site
from outbound.sites import Sites
from outbound.ways import Way

#: Entries that wait, and the bytes of content that stay with them; the others' is let go of.
MAX_PARKED, MAX_PARKED_BYTES = 5000, 32 * 2**20
#: Attempts under way at the same time. A site has no more of them than are left for the others: however many hang,
#: there is room for who does not.
MAX_SEATED = 1000
#: Sites that are looked at for each attempt that ends, where they wait for their share.
LOOKS = 4
#: Who waited longer (seconds) is read again, and so found out when it was purged meanwhile.
FRESH = 5.0


class Turn:
    """An attempt's turn: its seat, and its place among those who wait for tokens."""

    __slots__ = ("_line", "_park", "_taken", "_waits", "seat")

    def __init__(self, park: "Park", line: Line | None, taken: Taken, seat: Seat) -> None:
        self._park, self._line, self._taken, self.seat = park, line, taken, seat
        park.seated += 1
        self._waits = bool(line and line.pace.ahead)
        if line and self._waits:
            line.tokens += 1

    def begin(self) -> bool:
        """It has its tokens: the attempt begins, unless the entry is not ours any more."""
        self._has_tokens()
        return self._taken.begin()

    def end(self) -> None:
        """The seat is free; once is enough."""
        self._has_tokens()
        if self.seat:
            seat, self.seat = self.seat, None  # type: ignore[assignment]
            self._park.seated -= 1
            seat.leave()
            self._park.wake_cramped()

    def _has_tokens(self) -> None:
        if self._line and self._waits:
            self._waits = False
            self._line.tokens -= 1
            self._park.again(self._line)


class Park:
    """``go`` is called with whose turn it is."""

    def __init__(
        self,
        sites: Sites,
        shed: Callable[[Taken], None],
        go: Callable[[Taken, Way, Turn], None],
        expires: Callable[[Entry, Policy], float],
    ) -> None:
        self._sites, self._shed, self._go, self._expires = sites, shed, go, expires
        self._lines: dict[tuple[str, object, str], Line] = {}
        self._in_turn: dict[Site, OrderedDict[Line, None]] = {}
        """Whose turn is next. One that may not go is taken out when its turn comes, and is back when it may."""
        self._is_over = False
        self._cramped: OrderedDict[Site, None] = OrderedDict()
        self.parked = self.parked_bytes = 0
        self.seated = 0
        """Attempts under way."""
        sites.on_free = self.wake

    def turn(self, taken: Taken, way: Way, site: Site) -> Turn | None:
        """A turn at once, where nothing stands against it."""
        if self._is_over:
            return None
        line = self._line(way, site) if way.pace.ahead else self._lines.get(_key(way))
        if line and not line.may_go:
            return None
        seat = self._seat(site)
        return Turn(self, line, taken, seat) if seat else None

    def push(self, taken: Taken, way: Way, site: Site) -> None:
        """Let it wait for its turn."""
        if self._is_over:
            return
        if self.parked_bytes + taken.inline_size > MAX_PARKED_BYTES:
            self._shed(taken)
        line = self._line(way, site)
        line.since = line.since or time.time()
        expires = self._expires(taken.entry, way.policy)
        line.waiting.push(taken.entry.priority, Parked(taken, way, time.monotonic(), expires))
        self._count(taken, 1)
        self._take_turns(line)

    def hold(self, way: Way, site: Site, wait: float, why: str) -> None:
        """Nothing goes this way for so many seconds, and no connection is held for it."""
        if self._is_over:
            return
        line = self._line(way, site)
        line.until, line.why = time.monotonic() + wait, why
        if line.timer:
            line.timer.cancel()
        line.timer = asyncio.get_running_loop().call_later(wait, self._over, line)

    def wake(self, site: Site) -> None:
        """Let go who waits for a site, as far as there are seats; the ways over it take turns."""
        seat: Seat | None = None
        while turns := self._in_turn.get(site):
            line = next(iter(turns))
            if not (line.waiting and line.may_go):
                self._pass(line)
                self._forget(line)
            elif seat := seat or self._seat(site):
                turns.move_to_end(line)
                if self._let_go(line, seat):
                    seat = None
                self._forget(line)
            else:
                break
        if seat:
            seat.leave()  # nobody of those that waited is still ours

    def again(self, line: Line) -> None:
        """What held it back may be over."""
        if line.waiting:
            self._take_turns(line)
            self.wake(line.site)
        else:
            self._forget(line)

    def waiting(self) -> list[Taken]:
        """Who waits."""
        return [parked.taken for line in self._lines.values() for parked in line.waiting]

    def look_again(self, site: Site | None = None) -> None:
        """Something changed, at one site or anywhere: whatever holds a line back may be over."""
        for line in [line for line in self._lines.values() if site in (None, line.site)]:
            line.until = 0.0
            self.again(line)

    def expired(self, now: float) -> list[Taken]:
        """Who waits beyond its expiry (now: seconds since 1970); they do not wait any more."""
        found = []
        for line in list(self._lines.values()):
            late = [parked.taken for parked in line.waiting if parked.expires <= now]
            if late:
                line.waiting.keep(lambda parked: parked.expires > now)
                found += late
                for taken in late:
                    self._count(taken, -1)
                self._forget(line)
        return found

    def wake_cramped(self) -> None:
        """An attempt has ended: let go who waits for its site's share."""
        for _ in range(min(LOOKS, len(self._cramped))):
            self.wake(self._cramped.popitem(last=False)[0])

    def is_full(self) -> bool:
        """Whether no more can wait."""
        if self.parked < MAX_PARKED:
            return False
        self.parked = self.parked_bytes = 0
        for line in list(self._lines.values()):  # without those that are not ours any more
            line.waiting.keep(lambda parked: not parked.taken.dropped)
            for parked in line.waiting:
                self._count(parked.taken, 1)
            self._forget(line)
        return self.parked >= MAX_PARKED

    def clear(self) -> None:
        """Let nobody wait or go any more: what has not begun is for other workers."""
        self._is_over = True
        for line in list(self._lines.values()):
            line.waiting = Bands()
            line.until = 0.0
            if line.timer:
                line.timer.cancel()
            self._forget(line)

    def holding(self) -> list[Waiting]:
        """What waits and for what."""
        found = []
        for line in self._lines.values():
            if domains := Counter(parked.taken.entry.domain for parked in line.waiting if not parked.taken.dropped):
                left = line.until - time.monotonic()
                found.append(
                    Waiting(
                        site=line.site.key, source=line.key[2], waits_for=line.waits_for, since=line.since,
                        until=time.time() + left if left > 0 else 0.0, parked=domains.total(), domains=dict(domains),
                    )
                )  # fmt: skip
        return found

    def _seat(self, site: Site) -> Seat | None:
        if site.busy < MAX_SEATED - self.seated:
            return site.seat()
        self._cramped[site] = None
        return None

    def _let_go(self, line: Line, seat: Seat) -> bool:
        """Whether somebody has taken the seat."""
        while line.waiting:
            taken, way, since, _ = line.waiting.pop()
            self._count(taken, -1)
            if time.monotonic() - since > FRESH:
                self._shed(taken)
            if not taken.dropped:
                self._go(taken, way, Turn(self, line, taken, seat))
                return True
        return False

    def _line(self, way: Way, site: Site) -> Line:
        key = _key(way)
        if (line := self._lines.get(key)) is None:
            line = self._lines[key] = Line(key, site, way.pace)
            site.lines += 1
        return line

    def _take_turns(self, line: Line) -> None:
        """Among those of its site, however many they are, nobody is looked at whose turn it is not."""
        self._in_turn.setdefault(line.site, OrderedDict())[line] = None

    def _pass(self, line: Line) -> None:
        if turns := self._in_turn.get(line.site):
            turns.pop(line, None)
            if not turns:
                del self._in_turn[line.site]

    def _forget(self, line: Line) -> None:
        if line.waiting:
            return
        line.since = 0.0
        self._pass(line)
        if line.tokens or time.monotonic() < line.until or self._lines.get(line.key) is not line:
            return
        del self._lines[line.key]
        if line.timer:
            line.timer.cancel()
        line.site.lines -= 1

    def _over(self, line: Line) -> None:
        """Its time has come, if the clock says so too."""
        line.timer = None
        if (left := line.until - time.monotonic()) > 0:
            line.timer = asyncio.get_running_loop().call_later(left + 0.001, self._over, line)
        else:
            self.again(line)

    def _count(self, taken: Taken, change: int) -> None:
        self.parked += change
        self.parked_bytes += change * taken.inline_size


def _key(way: Way) -> tuple[str, object, str]:
    return way.route.key, way.policy.limits, way.source
