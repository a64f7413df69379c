"""Ways: sources in turn, what holds make of a policy, and that nothing is made anew as long as nothing changes."""

import time
from collections import Counter
from dataclasses import replace

import pytest

from common.broker import Broker
from common.limits.limit import Limit, What
from common.policies.holds import Hold, Holds, lift, stored
from common.policies.policy import Policy
from outbound.resolver import Record
from outbound.routing import Route, Target
from outbound.ways import Ways, keys

ROUTE = Route("mx.a.test", (Record(10, "mx.a.test"),), 25)
LIMIT = Limit("site:mx.a.test", What.CONNECTIONS, 20, 0, "[delivery]")
SOURCES = ("", "127.0.0.2", "127.0.0.3", "::1", "203.0.113.1")
RULES = {source: Policy(provider="big", limits=(LIMIT,)) for source in SOURCES}


class Router:
    """One site for all."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def route(self, _domain: str) -> Route:
        return ROUTE

    async def targets(self, _route: Route) -> list[Target]:
        return [Target("mx.a.test", address, 25) for address in self.addresses]


def ways(holds: Holds, *sources: str, reached: tuple[str, ...] = ("192.0.2.1",)) -> Ways:
    def policy_of(_domain: str, _route: Route | None, _pool: str, source: str) -> Policy:
        return RULES[source]

    return Ways(policy_of, holds, Router(*reached), "default", sources)  # type: ignore[arg-type]


def hold(key: str, action: str = "suspend", seconds: float = 3600, amount: int = 0, per: float = 0) -> Hold:
    now = time.time()
    return Hold(key, action, now, now + seconds, "rule", "here:1", "421 Busy", amount, per)


async def test_without_sources_the_system_chooses() -> None:
    way = await ways(Holds()).find("a.test")
    assert (way.source, way.policy.limits, way.wait) == ("", (LIMIT,), 0)


async def test_sources_take_turns() -> None:
    mine = ways(Holds(), "127.0.0.2", "127.0.0.3")
    assert Counter([(await mine.find("a.test")).source for _ in range(10)]) == {"127.0.0.2": 5, "127.0.0.3": 5}


async def test_a_source_that_the_machine_does_not_have_is_passed_over() -> None:
    mine = ways(Holds(), "203.0.113.1", "127.0.0.3")
    assert {(await mine.find("a.test")).source for _ in range(4)} == {"127.0.0.3"}
    assert (await ways(Holds(), "203.0.113.1").find("a.test")).source == "203.0.113.1"


async def test_of_two_families_one_that_the_site_has() -> None:
    assert {(await ways(Holds(), "127.0.0.2", "::1").find("a.test")).source for _ in range(4)} == {"127.0.0.2"}
    six = ways(Holds(), "127.0.0.2", "::1", reached=("2001:db8::1",))
    assert {(await six.find("a.test")).source for _ in range(4)} == {"::1"}


@pytest.mark.parametrize("place", ["", "site:mx.a.test|", "provider:big|"])
async def test_a_suspended_source_is_passed_over(broker: Broker, place: str) -> None:
    holds = Holds()
    await holds.place(broker, hold(f"{place}source:127.0.0.2"))
    mine = ways(holds, "127.0.0.2", "127.0.0.3")
    assert {(await mine.find("a.test")).source for _ in range(4)} == {"127.0.0.3"}


async def test_of_suspended_sources_the_one_that_is_back_first(broker: Broker) -> None:
    holds = Holds()
    await holds.place(broker, hold("source:127.0.0.2", seconds=60))
    await holds.place(broker, hold("source:127.0.0.3", seconds=30))
    way = await ways(holds, "127.0.0.2", "127.0.0.3").find("a.test")
    assert way.source == "127.0.0.3"
    assert 20 < way.wait <= 30


async def test_what_holds_make_of_a_policy(broker: Broker) -> None:
    holds = Holds()
    mine = ways(holds)
    before = mine.way("a.test", ROUTE, "")
    assert mine.way("a.test", ROUTE, "") is before
    await holds.place(broker, hold("provider:big", "rate", amount=1, per=60))
    await holds.place(broker, hold("site:mx.a.test", "connections", amount=2))
    await holds.place(broker, hold("domain:a.test", "messages_per_connection", amount=3))
    await holds.place(broker, hold("provider:other"))
    way = mine.way("a.test", ROUTE, "")
    assert way is not before
    assert mine.way("a.test", ROUTE, "") is way
    assert way.policy.messages_per_connection == 3
    assert way.policy.origins == {"messages_per_connection": "reply rule rule (here:1)"}
    assert [replace(limit, origin="") for limit in way.policy.limits[1:]] == [
        Limit("site:mx.a.test", What.CONNECTIONS, 2),
        Limit("provider:big", What.MESSAGES, 1, 60),
    ]
    assert way.policy.limits[2].origin == "reply rule rule (here:1)"
    assert way.suspended is None
    for key in ("provider:big", "site:mx.a.test", "domain:a.test"):
        assert await lift(broker, key) == 1
    await holds.look(broker)
    assert mine.way("a.test", ROUTE, "").policy == before.policy


async def test_a_hold_lapses_and_goes_from_the_broker(broker: Broker) -> None:
    holds = Holds()
    assert await holds.place(broker, hold("site:mx.a.test", seconds=1.0))
    assert not await holds.place(broker, hold("site:mx.a.test", seconds=1.0))
    other = Holds()
    await other.look(broker)
    assert [one.key for one in other.of(keys("a.test", "mx.a.test", "", ""))] == ["site:mx.a.test"]
    while await stored(broker):
        assert time.time() < other.all()[0].until + 10
    await other.look(broker)
    assert other.all() == []
