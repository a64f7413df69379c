"""Who is told of a delay, of a failure, of mail that was passed on."""

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from queue_support import rows, submit
from support import make_entry, until
from worker_support import NO_ANSWER, Working, finished, lies_as, start, told_rows

from common import subjects
from common.broker import Broker
from common.controls.control import Match
from common.ids import report_id
from common.queue import listing, retry
from common.queue.schedule import scheduled
from outbound import worker as worker_module
from outbound.failure import DeliveryFailure, permanent, temporary
from outbound.smtp import Extensions


async def _reports(broker: Broker) -> list[dict[str, Any]]:
    """The ``accepted`` rows of reports."""
    return [row async for row in told_rows(broker) if row["type"] == "accepted" and row.get("interface") == "report"]


def _later() -> DeliveryFailure:
    return temporary("4.7.1", "Later", phase="rcpt", reason="rejected")


async def test_who_asked_for_it_is_told_of_a_delay_once_and_between_tries(broker: Broker, tmp_path: Path) -> None:
    """The try that comes after it comes when it would have come anyway."""
    working = await start(broker, tmp_path, delay_report="2h", retry_first="3h", retry_jitter=0)
    working.world.failure = _later()
    now = time.time()
    entry = make_entry("x@a.example", notify="DELAY", accepted=now - 2 * 3600 + 2.5)
    await submit(broker, entry, make_entry("y@a.example", submission=entry.submission, number=2, accepted=now))
    await until(lambda: lies_as(broker, ["s", "s"]))
    assert await _reports(broker) == []
    (before,) = [one for one in await _listed(broker) if one.entry and one.entry.next_try]
    assert before.entry
    assert before.entry.next_try == pytest.approx(now + 3 * 3600, abs=5)
    await until(lambda: _reports(broker))
    [report] = await _reports(broker)
    assert report["submission"] == report_id(entry.id, "delay")
    assert report["meta"] == {"report_of": entry.id, "report_kind": "delay"}
    await until(lambda: lies_as(broker, ["s", "s", "s"]))  # the report is deferred too
    (after,) = [one for one in await _listed(broker) if one.id == entry.id]
    assert after.entry
    assert (after.entry.attempts, after.entry.reported, after.entry.next_try) == (1, "delay", 0)
    for one in (before, after):
        assert abs(datetime.fromisoformat(one.due).timestamp() - before.entry.next_try) < 1
    await working.close()


async def _listed(broker: Broker) -> list[listing.Listed]:
    return [one async for one in listing.entries(broker, "default")]


@pytest.mark.parametrize(
    ("asked", "kinds_"),
    [
        ({"notify": "DELAY"}, ["delay"]),
        ({"notify": "FAILURE"}, []),
        ({}, []),
        ({"notify": "NEVER", "deliver_by": 1.0}, []),
        ({"notify": "FAILURE", "deliver_by": 1.0}, []),
        ({"deliver_by": 1.0}, ["deliver-by"]),
        ({"notify": "DELAY", "deliver_by": 1.0}, ["deliver-by", "delay"]),
        ({"notify": "DELAY", "sender": ""}, []),
    ],
)
async def test_who_is_told_of_a_delay(
    broker: Broker, working: Working, asked: dict[str, Any], kinds_: list[str]
) -> None:
    """What is overdue is told at once; then the mail goes its way."""
    site = working.world.sites["a.example"]
    site.gate.set()
    entry = make_entry("x@a.example", accepted=time.time() - 5 * 3600, **asked)
    working.world.sites["sender.example"].gate.set()
    await submit(broker, entry)
    await until(lambda: finished(broker))
    assert [row["submission"] for row in await _reports(broker)] == [report_id(entry.id, kind) for kind in kinds_] + (
        [report_id(entry.id)] if entry.deliver_by and entry.notify != "NEVER" else []
    )
    assert site.asked == ["x@a.example"]
    of_mail = [row async for row in told_rows(broker) if row.get("delivery") == entry.id][1:]
    told = [("deferred", 0)] * len(kinds_)
    assert [(row["type"], row.get("attempt", 0)) for row in of_mail] == [*told, ("delivered", 1)]


async def test_who_waits_in_the_park_is_told_too(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK", 0.05)
    site = working.world.sites["a.example"]
    site.down, site.down_failure = 3600.0, NO_ANSWER
    looking = asyncio.create_task(working.worker.expire_parked())
    await submit(broker, make_entry("x@a.example", deliver_by=time.time() + 1.5))
    await until(lambda: working.worker.park.parked == 1)
    await until(lambda: _reports(broker))
    await until(lambda: working.worker.park.parked == 1)
    assert site.asked == []
    looking.cancel()


async def test_what_was_tried_by_order_stays_so_though_a_report_falls_due_while_it_is_parked(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOOK", 0.05)
    site = working.world.sites["a.example"]
    looking = asyncio.create_task(working.worker.expire_parked())
    await submit(broker, make_entry("first@a.example"))
    await until(lambda: site.asked)
    now = time.time()
    entry = make_entry("x@a.example", attempts=1, last_reply="450 later", deliver_by=now + 2.5, next_try=now + 3600)
    await broker.put(scheduled(subjects.entry("q", entry), entry.pack(), "a try", entry.deliver_by))
    assert [count async for count in retry.retry(broker, ["default"], Match(id=entry.id))] == [1]
    await until(lambda: working.worker.park.parked == 1)
    await until(lambda: _reports(broker))
    working.world.sites["sender.example"].gate.set()
    site.gate.set()
    await until(lambda: finished(broker))
    assert site.asked == ["first@a.example", "x@a.example"]
    looking.cancel()


async def test_without_room_nobody_is_told_of_a_delay_and_the_mail_goes(broker: Broker, tmp_path: Path) -> None:
    working = await start(broker, tmp_path, max_store=1)
    await until(lambda: not working.room.reports)
    working.world.sites["a.example"].gate.set()
    await submit(broker, make_entry("x@a.example", notify="SUCCESS,DELAY", accepted=time.time() - 5 * 3600))
    await until(lambda: finished(broker))
    assert await rows(broker) == ["accepted", "deferred", "delivered"]
    await working.close()


@pytest.mark.parametrize(
    ("notify", "offered", "told"),
    [
        ("SUCCESS", Extensions(), True), ("SUCCESS,FAILURE", Extensions(deliver_by=True), True),
        ("SUCCESS", Extensions(dsn=True), False), ("FAILURE", Extensions(), False), ("NEVER", Extensions(), False),
        ("", Extensions(), False),
    ],
)  # fmt: skip
async def test_who_is_told_that_it_was_passed_on(
    broker: Broker, working: Working, notify: str, offered: Extensions, told: bool
) -> None:
    for domain in ("a.example", "sender.example"):
        working.world.sites[domain].gate.set()
    working.world.sites["a.example"].offered = offered
    entry = make_entry("x@a.example", notify=notify)
    await submit(broker, entry)
    await until(lambda: finished(broker))
    assert [row["submission"] for row in await _reports(broker)] == [report_id(entry.id)] * told
    types = ["accepted", "delivered"]
    assert await rows(broker) == types + types * told


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "DELAY", "SUCCESS,DELAY", "FAILURE", ""])
@pytest.mark.parametrize("how", ["expired", "bounced"])
async def test_who_is_told_of_a_failure(broker: Broker, working: Working, how: str, notify: str) -> None:
    working.world.failure = permanent("5.1.2", "no such domain", phase="dns", reason="dns")
    await submit(broker, make_entry("x@a.example", notify=notify, expires=1.0 if how == "expired" else 4e9))
    await until(lambda: finished(broker))
    told = notify in ("", "FAILURE")
    suppressed = ["admin"] * (how == "bounced")
    assert await rows(broker) == ["accepted", how, *suppressed, *["accepted", "bounced"] * told]
