"""What waits for the end of an outage, of a suspension, or for a token: no attempt is made, and none counted."""

import asyncio
import time
from datetime import datetime
from typing import Any

import pytest
from queue_support import rows, submit
from support import make_entry, until
from worker_support import NO_ANSWER, Working, finished, is_left, is_told, lies_as, told_rows

from common.broker import Broker
from common.event import unpack
from common.limits.limit import Limit, What
from common.policies.holds import Hold, lift
from common.queue import listing, retry
from outbound import put_off
from outbound import worker as worker_module
from outbound.failure import NotNowError


async def test_who_waits_for_a_site_that_is_down_makes_no_attempt(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 0.3, NO_ANSWER
    site.gate.set()
    for i in range(2):
        await submit(broker, make_entry(f"r{i}@a.example", attempts=3))
    await until(lambda: working.worker.park.parked == 2)
    (waiting,) = working.worker.park.holding()
    assert waiting.waits_for == "its site to be up again: 451 4.4.1 no answer"
    site.down, site.down_failure = 0, None
    await until(lambda: finished(broker))  # its time passes
    assert [row["attempt"] async for row in told_rows(broker) if row["type"] != "accepted"] == [4, 4]


async def test_where_the_park_is_half_full_it_waits_as_a_schedule(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put_off, "MAX_PARKED", 2)
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 3600.0, NO_ANSWER
    for i in range(2):
        await submit(broker, make_entry(f"r{i}@a.example", attempts=3))
    await until(lambda: lies_as(broker, ["q", "s"]))
    (deferred,) = [listed async for listed in listing.entries(broker, "default") if listed.kind == "s"]
    assert deferred.entry
    assert (deferred.entry.attempts, deferred.entry.last_reply) == (3, "451 4.4.1 no answer")
    assert 3590 < datetime.fromisoformat(deferred.due).timestamp() - time.time() <= 3600
    assert site.asked == []


async def test_a_site_that_is_up_early_gets_what_was_parked_and_what_was_put_off(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put_off, "MAX_PARKED", 2)
    site = working.world.sites["a.example"]
    site.gate.set()
    site.down, site.down_failure = 3600.0, NO_ANSWER
    for i in range(3):
        await submit(broker, make_entry(f"r{i}@a.example", attempts=3))
    await submit(broker, make_entry("x@other.example", due=time.time() + 3600))
    await until(lambda: lies_as(broker, ["q", "s", "s", "s"]))
    await until(lambda: working.worker.park.parked == 1 and not working.worker._tasks)
    site.down, site.down_failure = 0, None
    working.world.on_up(site)
    await until(lambda: lies_as(broker, ["s"]))
    assert len(site.asked) == 3


async def test_a_site_that_is_up_while_mail_is_put_off(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is up before the schedule is stored, so nobody can find it."""
    monkeypatch.setattr(put_off, "MAX_PARKED", 0)
    site, finisher = working.world.sites["a.example"], working.outlet.finisher
    site.gate.set()
    site.down, site.down_failure = 3600.0, NO_ANSWER
    defer = finisher.defer

    async def defer_when_up(*arguments: Any) -> None:
        site.down, site.down_failure = 0, None
        working.world.on_up(site)
        await asyncio.gather(*working.worker.put_off._tasks)
        await defer(*arguments)

    monkeypatch.setattr(finisher, "defer", defer_when_up)
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: finished(broker))
    assert site.asked == ["x@a.example"]


async def test_what_was_put_off_goes_on_when_its_suspension_is_lifted(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put_off, "MAX_PARKED", 2)
    site, holds = working.world.sites["a.example"], working.holds
    site.gate.set()
    keeping = asyncio.create_task(holds.keep(broker))
    for key in ("site:a.example", "site:b.example"):
        hold = Hold(key, "suspend", time.time(), time.time() + 3600, "busy", "here:1", "421 Busy")
        await holds.place(broker, hold)
    for name in ("x@a.example", "y@a.example", "x@b.example"):
        await submit(broker, make_entry(name, attempts=3))
    await until(lambda: lies_as(broker, ["q", "s", "s"]))
    assert await lift(broker, "site:a.example") == 1
    assert [count async for count in retry.go_on(broker, {"default": ["s.default.>"]}, "site:a.example")] == [1]
    await until(lambda: is_left(broker, 1))
    assert sorted(site.asked) == ["x@a.example", "y@a.example"]
    assert {row["attempt"] async for row in told_rows(broker) if row["type"] == "delivered"} == {4}
    keeping.cancel()


async def test_what_was_put_off_once_and_fails_later_has_a_time_of_its_own(broker: Broker, working: Working) -> None:
    working.world.failure = NO_ANSWER
    await submit(broker, make_entry("x@a.example", put_off="site:a.example"))
    await until(lambda: lies_as(broker, ["s"]))
    assert [count async for count in retry.go_on(broker, {"default": ["s.default.>"]}, "site:a.example")] == [0]


async def test_who_expires_while_it_waits_is_ended(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK", 0.05)
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 3600.0, NO_ANSWER
    ending = asyncio.create_task(working.worker.expire_parked())
    await submit(broker, make_entry("x@a.example", sender="", expires=time.time() + 0.3))
    await submit(broker, make_entry("y@a.example", sender=""))
    await until(lambda: is_told(broker, "expired"))
    assert [listed.entry.recipient async for listed in listing.entries(broker, "default") if listed.entry] == [
        "y@a.example"
    ]
    assert working.worker.park.parked == 1
    ending.cancel()


async def test_a_suspension_holds_and_lets_go(broker: Broker, working: Working) -> None:
    site, holds = working.world.sites["a.example"], working.holds
    site.gate.set()
    hold = Hold("site:a.example", "suspend", time.time(), time.time() + 3600, "busy", "here:1", "421 Busy")
    await holds.place(broker, hold)
    await submit(broker, make_entry("x@a.example", attempts=3))
    await submit(broker, make_entry("x@b.example"))
    working.world.sites["b.example"].gate.set()
    await until(lambda: working.world.sites["b.example"].asked)
    await until(lambda: working.worker.park.parked == 1)
    (waiting,) = working.worker.park.holding()
    assert "site:a.example suspended by reply rule busy: 421 Busy" in waiting.waits_for
    assert site.asked == []
    await lift(broker, "site:a.example")
    await holds.look(broker)
    await until(lambda: finished(broker))
    assert site.asked == ["x@a.example"]


async def test_what_has_no_token_waits_without_an_attempt(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    site.gate.set()
    site.held = NotNowError(0.2, Limit("domain:a.example", What.MESSAGES, 1, 60.0))
    entries = [make_entry(f"r{i}@a.example", attempts=3) for i in range(2)]
    for entry in entries:
        await submit(broker, entry)
    await until(lambda: working.worker.park.parked == 2)
    (waiting,) = working.worker.park.holding()
    assert (waiting.waits_for, waiting.parked) == ("a token of 1/m for domain:a.example", 2)
    assert working.world.busy == 0
    assert site.asked == []
    site.held = None
    await until(lambda: finished(broker))
    assert sorted(await rows(broker)) == ["accepted"] * 2 + ["delivered"] * 2
    told = [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]
    assert {row["attempt"] for row in told if row["type"] == "delivered"} == {4}
    assert working.worker.park.holding() == []
    assert not working.worker.park._lines
