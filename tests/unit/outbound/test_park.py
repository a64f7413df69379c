"""The park with many ways over one site, and with many sites."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_entry

from common import subjects
from common.limits.client import Limiter
from common.limits.limit import Limit, What
from common.policies.policy import Policy
from common.queue.taken import Taken
from outbound.line import Line
from outbound.pace import pace
from outbound.park import Park, Turn
from outbound.resolver import Record
from outbound.routing import Route
from outbound.site import Means, Site
from outbound.sites import Sites
from outbound.ways import Way

CONNECTIONS = Limit("site:mx.test", What.CONNECTIONS, 1, 0, "here:1")


def ways(count: int, rate: int = 50) -> list[Way]:
    """Domains of one site, each under a rate of its own."""
    found = []
    for i in range(count):
        limits = (CONNECTIONS, Limit(f"domain:d{i}.test", What.MESSAGES, rate, 1.0, "here:2"))
        found.append(Way(Route("mx.test", (Record(10, "mx.test"),), 25), Policy(limits=limits), pace(limits)))
    return found


def taken(domain: str) -> Taken:
    entry = make_entry(f"r@{domain}")
    return Taken(subjects.entry("q", entry), entry, [], maybe_tried=False, waits=False)


class Parking:
    """A park, and who of it is going."""

    def __init__(self, connections: int = 1) -> None:
        self.sites = Sites(Means(None, Limiter.alone(), "us.test", None))  # type: ignore[arg-type]
        self.going: list[tuple[Taken, Way, Turn]] = []
        self.park = Park(self.sites, lambda _: None, self.go, lambda entry, _: entry.expires)
        self.connections = Limit("site:mx.test", What.CONNECTIONS, connections, 0, "here:1")

    @property
    def site(self) -> Site:
        return self.sites.get("mx.test", (self.connections,))

    def go(self, one: Taken, way: Way, turn: Turn) -> None:
        self.going.append((one, way, turn))

    def come(self, way: Way) -> None:
        """A mail, as the worker takes it."""
        one = taken(way.policy.limits[1].key.removeprefix("domain:"))
        if turn := self.park.turn(one, way, self.site):
            self.go(one, way, turn)
        else:
            self.park.push(one, way, self.site)


async def test_who_is_next_is_found_without_a_look_at_all_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, may_go = [], Line.may_go.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Line, "may_go", property(lambda line: (looks.append(line), may_go(line))[1]))
    parking, ways_ = Parking(), ways(1000)
    for way in ways_:
        parking.come(way)
    for way in ways_[:500]:  # held back, for longer than this takes
        parking.park.hold(way, parking.site, 3600, "a suspension")
    looks.clear()
    for _ in range(300):
        parking.going.pop()[2].end()
    assert len(parking.going) == 1
    assert len(looks) < 1500
    parking.park.clear()


STEPS = ["come", "come", "come", "begin", "end", "hold", "look again"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), min_size=20))
def test_whatever_happens_all_go_and_nothing_is_left(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_park_and_go(steps))


async def _park_and_go(steps: Iterable[tuple[str, int]]) -> None:
    parking, ways_, came, gone = Parking(3), ways(4, 10), 0, list[Any]()
    for what, number in steps:
        match what:
            case "come":
                parking.come(ways_[number])
                came += 1
            case "begin" if number < len(parking.going):
                parking.going[number][2].begin()
            case "end" if number < len(parking.going):
                gone.append(parking.going[number])
                parking.going.pop(number)[2].end()
            case "hold":
                parking.park.hold(ways_[number], parking.site, 0.0005 * number, "a moment")
            case "look again":
                parking.park.look_again()
    for _ in range(50):
        while parking.going:
            gone.append(parking.going.pop())
            gone[-1][2].end()
        if not parking.park.parked:
            break
        await asyncio.sleep(0.001)
    assert len({id(one) for one, _, _ in gone}) == came
    parking.park.look_again()  # who is held back for longer than there is mail
    assert not parking.park._lines
    assert not parking.park._in_turn
    assert (parking.site.lines, parking.site.busy, parking.park.seated) == (0, 0, 0)


async def test_many_ways_whose_mail_is_dropped() -> None:
    """An order drops the parked mail of 400 domains that share a site, while another mail is at it."""
    sites = Sites(Means(None, Limiter.alone(), "us.test", None))  # type: ignore[arg-type]
    park = Park(sites, lambda _: None, lambda *_: None, lambda entry, _: entry.expires)
    first, *others = ways(400)
    site = sites.get("mx.test", first.pace.connections)
    turn = park.turn(taken("d0.test"), first, site)
    assert turn
    for i, way in enumerate(others):
        one = taken(f"d{i + 1}.test")
        park.push(one, way, site)
        one.dropped = True
    turn.end()
    assert (site.busy, site.lines, park.seated) == (0, 0, 0)


def test_sites_are_bounded() -> None:
    sites = Sites(Means(None, Limiter.alone(), "us.test", None))  # type: ignore[arg-type]
    sites.get("parked").lines = 1
    for i in range(30_000):
        sites.get(f"s{i}")
    assert len(list(sites)) < 11_000
