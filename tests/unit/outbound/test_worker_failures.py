"""What fails ends once: held, given up, reported to its sender."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from queue_support import batch, connected, kinds, rows, submit
from support import Nats, make_entry, until
from worker_support import Working, finished, is_held, lies_as, start, told_rows

from common.broker import Broker
from common.content import store
from common.event import unpack
from common.ids import report_id
from common.queue import consumers, listing, streams
from common.queue.strikes import LIMIT
from outbound.failure import permanent, temporary


async def test_what_raises_again_and_again_is_held_with_the_error(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "ACK_WAIT", 0.5)
    working = await start(broker, tmp_path)
    working.world.failure = KeyError("a bug\nof ours")
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: is_held(broker), 60)
    (held,) = [listed async for listed in listing.entries(broker, "default")]
    assert held.reason == "5 attempts at it failed by a mistake of Postjet, the last with KeyError('a bug\\nof ours')"
    assert working.world.asked == LIMIT
    assert await rows(broker) == ["accepted", "held"]
    assert not working.world.busy
    await working.close()


async def test_reports_leave_room_for_outcomes(nats: Nats, tmp_path: Path) -> None:
    """Their originals are many times what the store can hold; mail waits for room, and all of it ends."""
    nats.kill()
    nats.max_store = 3_000_000
    nats.start()
    count, content = 150, b"Subject: x\r\n\r\n" + os.urandom(40_000)
    async with connected(nats) as broker:
        await streams.ensure_surely(broker, ["default"], nats.max_store)
        working = await start(broker, tmp_path, max_store=nats.max_store, retry_first=1.0)
        working.world.failure = permanent("5.1.2", "no such domain", phase="dns", reason="dns")
        await submit(broker, *batch(count, size=len(content)), content=store(content))
        await until(lambda: finished(broker), 40)
        ended = Counter(await rows(broker))
        assert (ended["accepted"], ended["bounced"]) == (1 + count, 2 * count)
        assert ended["deferred"]
        await working.close()


async def test_what_raises_when_somebody_else_has_it_is_left_to_them(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.queue.strikes.LIMIT", 1)
    world = working.world
    world.found.clear()
    world.failure = KeyError("a bug of ours")
    await submit(broker, make_entry())
    await until(lambda: world.asked == 1)
    await working.outlet.taker.leave_all()
    world.found.set()
    await until(lambda: not working.worker._tasks)
    assert await kinds(broker) == ["q"]
    assert await rows(broker) == ["accepted"]


async def test_shared_content_that_is_missing_is_held(broker: Broker, working: Working) -> None:
    working.world.found.clear()
    await submit(broker, *batch(2))
    await broker.purge("BODY", "b.>")
    working.world.found.set()
    await until(lambda: is_held(broker, 2))
    assert sorted(await rows(broker)) == ["accepted", "held", "held"]


async def test_an_expired_entry_ends(broker: Broker, working: Working) -> None:
    await submit(broker, make_entry(expires=1.0, sender=""))
    await until(lambda: finished(broker))
    assert await rows(broker) == ["accepted", "expired"]
    assert not working.world.asked


@pytest.mark.parametrize("how", ["expired", "bounced"])
async def test_the_sender_of_what_failed_is_told_and_nobody_of_what_became_of_that(
    broker: Broker, working: Working, how: str
) -> None:
    refused = temporary("5.1.2", "no such domain", phase="dns", reason="dns")
    refused.permanent, working.world.failure = True, refused
    about = make_entry("x@a.example", expires=1.0 if how == "expired" else 4e9)
    await submit(broker, about)
    await until(lambda: finished(broker))
    told = [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]
    report = report_id(about.id)
    assert [(row["type"], row["submission"]) for row in told] == [
        ("accepted", about.submission), (how, about.submission), ("accepted", report), ("bounced", report),
    ]  # fmt: skip
    assert told[3]["recipient"] == about.sender
    assert "sender" not in told[3]


async def test_the_host_that_deferred_a_mail_is_remembered_for_its_report(broker: Broker, working: Working) -> None:
    later = temporary("4.7.1", "Later", phase="rcpt", reason="rejected")
    later.host, later.address = "mx.a.example", "192.0.2.1"
    working.world.failure = later
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: lies_as(broker, ["s"]))
    (deferred,) = [listed async for listed in listing.entries(broker, "default")]
    assert deferred.entry
    assert deferred.entry.last_host == "mx.a.example"
    assert deferred.entry.last_reply == "mx.a.example[192.0.2.1]: 451 4.7.1 Later"


async def test_a_policy_may_give_up_sooner(broker: Broker, tmp_path: Path) -> None:
    rule = {"domain": "b.example", "expire": "1h"}
    working = await start(broker, tmp_path, policies=[rule])
    for name in ("a", "b"):
        working.world.sites[f"{name}.example"].gate.set()
        age = 2 * 3600
        now = time.time()
        await submit(
            broker, make_entry(f"x@{name}.example", sender="", accepted=now - age, expires=now - age + 432_000)
        )
    await until(lambda: finished(broker))
    told = {row["recipient"]: row["type"] async for row in told_rows(broker) if row["type"] != "accepted"}
    assert told == {"x@a.example": "delivered", "x@b.example": "expired"}
    await working.close()
