"""The park of a worker: who waits for a connection, in which order, and how much room there is."""

import os

import pytest
from queue_support import left, rows, submit
from support import make_entry, until
from worker_support import SLOW, Working, finished, is_held, is_left, spread, waiting

from common import subjects
from common.broker import Broker
from common.content import store
from common.queue import listing, take
from outbound import park as park_module


async def test_parked_mail_does_not_go_out_while_outcomes_cannot_be_stored(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    for i in range(3):
        await submit(broker, make_entry(f"r{i}@a.example"))
        await until(lambda i=i: working.world.asked == i + 1)  # one that lay there first is looked up, and comes later
    await until(lambda: working.worker.park.parked == 2)
    working.outlet.finisher.clear.clear()
    site.gate.set()
    await until(lambda: is_left(broker, 2))  # the first has gone, so there is room at the site
    await until(lambda: working.worker.park.parked == 1)
    assert len(site.asked) == 1
    working.outlet.finisher.clear.set()
    await until(lambda: finished(broker))
    assert sorted(site.asked) == [f"r{i}@a.example" for i in range(3)]  # who is looked up first comes later


async def test_a_full_park_has_room_again_when_what_it_holds_is_dropped(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_PARKED", 2)
    hanging, other = working.world.sites["a.example"], working.world.sites["b.example"]
    entries = [make_entry(f"r{i}@a.example") for i in range(3)]
    for entry in entries:
        await submit(broker, entry)
    await until(lambda: working.worker.park.parked == 2)
    for entry in entries:
        if entry.recipient not in hanging.asked:
            await broker.purge("MQ_default", subjects.submission("default", entry.submission))
    await working.outlet.hand_out_again()
    other.gate.set()
    for i in range(3):  # more than what was on its way when the park became full
        await submit(broker, make_entry(f"r{i}@b.example"))
    await until(lambda: len(other.asked) == 3)
    assert len(hanging.asked) == 1


async def test_many_slow_domains_together_fill_the_park_and_stop_nobody(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_PARKED", 60)
    monkeypatch.setattr(take, "FEW", 4)
    monkeypatch.setattr(take, "ALL_WAITING", 30)
    await spread(broker, SLOW, 12)
    other = working.world.sites["b.example"]
    other.gate.set()
    await submit(broker, make_entry("x@b.example"))
    await until(lambda: other.asked)
    for site in working.world.sites.values():
        site.gate.set()
    await until(lambda: finished(broker))
    assert [len(site.asked) for site in working.world.sites.values() if site is not other] == [12] * 12


async def test_sites_that_hang_leave_room_for_the_others(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_SEATED", 10)
    monkeypatch.setattr(park_module, "LOOKS", 1)
    hanging, others = [working.world.sites[name] for name in SLOW[:3]], [working.world.sites[name] for name in SLOW[3:]]
    for site in hanging:
        site.limit = 4
    await spread(broker, SLOW[:3], 8)
    await until(lambda: working.worker.park.parked + working.worker.park.seated == 24)
    assert sum(site.busy for site in hanging) < 10
    for site in others:
        site.gate.set()
    await spread(broker, SLOW[3:], 2)
    await until(lambda: all(len(site.asked) == 2 for site in others))
    for site in hanging:
        site.gate.set()
    await until(lambda: finished(broker))
    await until(lambda: not working.worker._tasks)
    assert [len(site.asked) for site in hanging] == [8, 8, 8]
    assert not working.worker.park.seated


async def test_who_found_no_room_because_others_hang_goes_when_one_ends(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_SEATED", 3)
    await spread(broker, SLOW[:5], 1)
    await until(lambda: working.worker.park.parked == 2)
    for _ in range(2):
        under_way = [site for site in working.world.sites.values() if site.busy]
        assert len(under_way) == 3
        under_way[0].gate.set()
        await until(lambda site=under_way[0]: not site.busy and working.world.busy == 3)
    for site in working.world.sites.values():
        site.gate.set()
    await until(lambda: finished(broker))


async def test_priority_goes_first_in_the_park(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("first@a.example"))
    await until(lambda: site.asked)
    for priority in (4, 6, 5):
        await submit(broker, make_entry(f"p{priority}@a.example", priority=priority))
    await until(lambda: working.worker.park.parked == 3)
    site.gate.set()
    await until(lambda: finished(broker))
    assert site.asked == [f"{who}@a.example" for who in ("first", "p6", "p5", "p4")]


async def test_the_park_keeps_content_up_to_its_bound(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "MAX_PARKED_BYTES", 300)
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("first@a.example"))
    await until(lambda: site.asked)
    for i in range(3):
        await submit(broker, make_entry(f"r{i}@a.example"), content=store(os.urandom(200)))
    await until(lambda: working.worker.park.parked == 3)
    kept = [parked.taken.inline_size for parked in waiting(working.worker)]
    assert sorted(kept) == [0, 0, working.worker.park.parked_bytes]
    assert 200 < working.worker.park.parked_bytes < 300
    site.gate.set()
    await until(lambda: finished(broker))
    assert len(site.asked) == 4
    assert working.worker.park.parked_bytes == 0


async def test_low_priority_has_its_share_of_the_park(broker: Broker, working: Working) -> None:
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("first@a.example"))
    await until(lambda: site.asked)
    for i in range(12):
        await submit(broker, make_entry(f"low{i}@a.example", priority=0))
        await submit(broker, make_entry(f"high{i}@a.example", priority=9))
    await until(lambda: working.worker.park.parked == 24)
    site.gate.set()
    await until(lambda: finished(broker))
    assert [who[:3] for who in site.asked[1:14]].count("low") == 1
    assert len(site.asked) == 25


async def test_content_that_cannot_be_read_is_held_as_it_is_though_it_was_parked(
    broker: Broker, working: Working
) -> None:
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: site.asked)
    await submit(broker, make_entry("y@a.example"), content=b"\x02of a later version")
    await until(lambda: working.worker.park.parked == 1)
    site.gate.set()
    await until(lambda: is_held(broker))
    (held,) = [listed async for listed in listing.entries(broker, "default")]
    assert held.entry
    assert held.entry.content == b"\x02of a later version"
    assert "schema version 2" in held.reason
    assert not working.world.busy


async def test_what_was_purged_while_it_was_parked_is_forgotten(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(park_module, "FRESH", 0)
    site = working.world.sites["a.example"]
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: site.asked)
    refused = make_entry("y@a.example")
    await submit(broker, refused)
    await until(lambda: working.worker.park.parked == 1)
    await broker.purge("MQ_default", subjects.submission("default", refused.submission))
    site.gate.set()
    await until(lambda: working.outlet.taker.held == 0)
    assert site.asked == ["x@a.example"]
    assert await left(broker) == {}
    assert await rows(broker) == ["accepted", "accepted", "delivered"]
