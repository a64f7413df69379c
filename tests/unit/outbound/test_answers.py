"""What a worker says: of whom, why, and never too much."""

from collections.abc import Iterator

import pytest
from support import make_entry, until

from common import subjects
from common.broker import Broker
from common.limits.client import Limiter
from common.limits.limit import Limit, What
from common.limits.owner import Use
from common.policies.policy import Policy
from common.queue import leases
from common.queue.taken import Taken
from common.workers import Question, ask
from outbound import answers as answers_module
from outbound.answers import Answers
from outbound.failure import temporary
from outbound.pace import pace
from outbound.park import Park
from outbound.resolver import Record
from outbound.routing import Route
from outbound.site import Means
from outbound.sites import Sites
from outbound.ways import Way

CONNECTIONS = Limit("site:mx.test", What.CONNECTIONS, 1, 0, "here:1")
RATE = Limit("domain:a.test", What.MESSAGES, 1, 1.0, "here:2")


class Working:
    """What a worker answers from."""

    def __init__(self) -> None:
        self.limiter = Limiter.alone()
        self.sites = Sites(Means(None, self.limiter, "us.test", None))  # type: ignore[arg-type]
        self.park = Park(self.sites, lambda _: None, lambda *_: None, lambda entry, _: entry.expires)

    def answers(self, broker: Broker | None = None) -> Answers:
        return Answers(broker, "default", self.park, self.sites, self.limiter.owner)  # type: ignore[arg-type]

    def way(self, *limits: Limit, site: str = "mx.test") -> Way:
        return Way(Route(site, (Record(10, site),), 25), Policy(limits=limits), pace(limits))

    def push(self, way: Way, *domains: str) -> None:
        site = self.sites.get(way.route.key, way.pace.connections)
        for domain in domains:
            self.park.push(taken(domain), way, site)

    @property
    def waits_for(self) -> list[str]:
        return [line.waits_for for line in self.park.holding()]


def taken(domain: str) -> Taken:
    entry = make_entry(f"r@{domain}")
    return Taken(subjects.entry("q", entry), entry, [], maybe_tried=False, waits=False)


@pytest.fixture
def working() -> Iterator[Working]:
    working = Working()
    yield working
    working.park.clear()


async def test_a_worker_is_asked_over_the_broker(broker: Broker, working: Working) -> None:
    await leases.renew(broker, "worker.me", "1")
    way = working.way(CONNECTIONS)
    site = working.sites.get("mx.test", way.pace.connections)
    seat = site.seat()
    assert seat
    assert site.seat() is None
    await until(lambda: site.waits_for)
    site._down, site.down_until = temporary("4.4.1", "no answer", phase="connect", reason="connect"), 1e12
    working.push(way, "a.test", "a.test", "b.test")
    working.push(working.way(site="mx.other.test"), "c.test")
    await working.answers(broker).start()
    all_, a = await ask(broker), await ask(broker, Question("mx.test", "a.test", (RATE, CONNECTIONS)))
    assert {line.site: line.domains for line in all_.lines} == {
        "mx.test": {"a.test": 2, "b.test": 1}, "mx.other.test": {"c.test": 1},
    }  # fmt: skip
    [line], [down] = a.lines, a.sites
    assert (line.pool, line.worker, line.parked) == ("default", "me", 3)
    assert line.waits_for == "one of 1 connection for site:mx.test (here:1)"
    assert (down.busy, down.idle, down.down, all_.sites[0].down) == (1, 0, *["451 4.4.1 no answer"] * 2)
    assert a.uses == {CONNECTIONS: Use(1, 1, 0), RATE: Use(0, 0, 0)}
    assert (await ask(broker, Question("mx.test", "d.test"))).lines == []
    seat.leave()
    await site.close()


async def test_what_a_line_waits_for(working: Working) -> None:
    way = working.way(RATE)
    site = working.sites.get("mx.test")
    turns = [working.park.turn(taken("a.test"), way, site) for _ in range(3)]
    assert [bool(turn) for turn in turns] == [True, True, False]  # two bursts wait on a connection
    working.push(way, "a.test")
    assert working.waits_for == ["a token of 1/s for domain:a.test (here:2)"]
    working.park.hold(way, site, 60, "better times")
    assert working.waits_for == ["better times"]
    [line] = working.park.holding()
    assert 50 < line.until - line.since < 70
    other = working.way(site="mx.other.test")
    working.push(other, "b.test")
    assert working.waits_for[1:] == ["its turn"]
    for turn in turns[:2]:
        assert turn
        turn.end()


async def test_an_answer_has_a_bound_and_tells_the_largest(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers_module, "MAX_ANSWER", 1000)
    monkeypatch.setattr(answers_module, "MAX_DOMAINS", 2)
    for i in range(20):
        working.push(working.way(site=f"mx{i}.test"), f"a{i}.test")
    many = working.way(site="many.test")
    working.push(many, "a.test", "b.test", "c.test")
    working.park.hold(many, working.sites.get("many.test"), 60, "x" * 10_000)
    answer = working.answers().answer(Question())
    assert (answer["lines"][0]["parked"], list(answer["lines"][0]["domains"])) == (3, ["a.test", "b.test"])
    assert len(answer["lines"][0]["waits_for"]) == 500
    assert 0 < answer["left_off"] == 21 - len(answer["lines"])
    assert len(str(answer["lines"])) < 1000 + 100
    [line] = working.answers().answer(Question("many.test", "c.test"))["lines"]
    assert line["domains"] == {"a.test": 1, "b.test": 1, "c.test": 1}


async def test_what_was_dropped_does_not_wait(working: Working) -> None:
    gone, way = taken("a.test"), working.way()
    working.park.push(gone, way, working.sites.get("mx.test"))
    gone.dropped = True
    assert working.park.holding() == []
