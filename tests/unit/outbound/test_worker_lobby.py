"""Mail that waits for DNS, and mail for which DNS knows no way."""

from collections import Counter

import pytest
from queue_support import kinds, rows, submit
from support import make_entry, until
from worker_support import SLOW, Working, finished, spread

from common.broker import Broker
from common.queue import take
from outbound import aside, lobby
from outbound import worker as worker_module
from outbound.failure import temporary


async def test_dropped_during_its_lookup_leaks_no_slot(broker: Broker, working: Working) -> None:
    world, site = working.world, working.world.sites["a.example"]
    world.found.clear()
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: world.asked == 1)
    await working.outlet.hand_out_again()
    await until(lambda: world.asked == 2)
    site.gate.set()
    world.found.set()
    await until(lambda: finished(broker))
    await until(lambda: not working.worker._tasks)
    assert site.asked == ["x@a.example"]
    assert not working.world.busy
    assert await rows(broker) == ["accepted", "delivered"]


@pytest.mark.parametrize("permanent", [False, True])
async def test_dropped_during_a_lookup_that_fails_is_neither_deferred_nor_bounced(
    broker: Broker, working: Working, permanent: bool
) -> None:
    world = working.world
    world.found.clear()
    world.failure = temporary("4.4.3", "no answer", phase="dns", reason="dns")
    world.failure.permanent = permanent
    await submit(broker, make_entry())
    await until(lambda: world.asked == 1)
    await working.outlet.taker.leave_all()
    world.found.set()
    await until(lambda: not working.worker._tasks)
    assert await kinds(broker) == ["q"]
    assert await rows(broker) == ["accepted"]


async def test_mail_that_waits_for_dns_is_not_being_worked_on(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_HANDLED", 5)
    monkeypatch.setattr(lobby, "MAX_WAITING_BYTES", 100)
    working.world.mute.update(SLOW)
    await spread(broker, SLOW, 1)
    working.world.sites["b.example"].gate.set()
    await submit(broker, make_entry("x@b.example"))
    await until(lambda: working.world.sites["b.example"].asked)
    await until(lambda: working.worker.lobby.waiting == 12)
    kept = [taken.inline_size for taken in working.worker.lobby._waiting]
    assert 0 < sum(kept) == working.worker.lobby._bytes <= 100


async def test_domains_that_dns_does_not_answer_for_fill_the_lobby_and_stop_nobody(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lobby, "MAX_WAITING", 60)
    monkeypatch.setattr(take, "FEW", 4)
    monkeypatch.setattr(take, "ALL_WAITING", 6)
    working.world.mute.update(SLOW)
    await spread(broker, SLOW, 12)
    others = {f"b{i}.example" for i in range(8)}  # in all lanes
    for domain in others:
        working.world.sites[domain].gate.set()
        await submit(broker, make_entry(f"x@{domain}"))
    await until(lambda: all(working.world.sites[domain].asked for domain in others))


@pytest.mark.parametrize("expires", [1.0, 4e9])
async def test_who_leads_nowhere_waits_aside_and_stops_nobody(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch, expires: float
) -> None:
    monkeypatch.setattr(worker_module, "MAX_HANDLED", 5)
    monkeypatch.setattr(aside, "FEW", 0)
    working.world.dead.update(SLOW)
    for domain in SLOW:
        await submit(broker, make_entry(f"r@{domain}", sender="", expires=expires))
    await until(lambda: working.worker.levels() == {"active": 0, "parked": 12, "buffered": 0})
    assert len(working.worker.aside) == 12
    other = working.world.sites["b.example"]
    await submit(broker, make_entry("x@b.example"))
    await until(lambda: other.asked)
    assert [kind for kind in await rows(broker) if kind != "accepted"] == []
    monkeypatch.setattr(aside, "FEW", 2)
    other.gate.set()
    await until(lambda: finished(broker))
    assert Counter(await rows(broker)) == {
        "accepted": 13, "delivered": 1, "expired" if expires == 1.0 else "bounced": 12,
    }  # fmt: skip
