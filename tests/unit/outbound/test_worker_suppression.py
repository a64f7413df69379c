"""Nothing is sent to who is suppressed; who bounces is suppressed before the entry goes."""

import time
from pathlib import Path

import pytest
from queue_support import submit
from support import make_entry, until
from worker_support import Working, finished, start, told_rows

from common.broker import Broker, NoBrokerError
from common.suppression import changes, store
from common.suppression.suppression import Source, Suppression
from common.suppression.suppressions import Suppressions
from outbound import record
from outbound.failure import permanent


def refused(text: str = "No such user", enhanced: str = "5.1.1") -> Exception:
    return permanent(enhanced, text, phase="rcpt", reason="rejected", code=550)


async def suppress(broker: Broker, working: Working, recipient: str, **values: object) -> None:
    """And wait until the worker knows."""
    one = Suppression(recipient=recipient, source=Source.UNSUBSCRIBE, since=time.time(), **values)  # type: ignore[arg-type]
    await store.add(broker, [one])
    await until(lambda: working.worker.suppressor.over(make_entry(recipient)))


async def types(broker: Broker) -> dict[str, list[str]]:
    """What happened to each recipient; reports and rows of suppressions are others' affairs."""
    found: dict[str, list[str]] = {}
    async for row in told_rows(broker):
        if row.get("interface") != "report" and row["type"] not in ("accepted", "admin"):
            found.setdefault(row["recipient"], []).append(row["type"])
    return found


@pytest.mark.parametrize(("at_rcpt", "told"), [("refuse", True), ("accept", False)])
async def test_queued_mail_to_who_is_suppressed_is_not_sent(
    broker: Broker, tmp_path: Path, at_rcpt: str, told: bool
) -> None:
    working = await start(broker, tmp_path, suppression={"at_rcpt": at_rcpt})
    await suppress(broker, working, "x@a.example", scope="@sender.example")
    for site in ("a.example", "sender.example", "other.example"):
        working.world.sites[site].gate.set()
    await submit(broker, make_entry("X@a.example"))
    await submit(broker, make_entry("x@a.example", sender="a@other.example"))
    await until(lambda: finished(broker))
    assert await types(broker) == {"x@a.example": ["delivered"], "X@a.example": ["suppressed"]}
    assert working.world.sites["a.example"].asked == ["x@a.example"]
    assert working.world.sites["sender.example"].asked == ["s@sender.example"] * told
    rows = [row async for row in told_rows(broker) if row["type"] == "suppressed"]
    assert {(row["status"], row["reason"], row.get("attempt", 0)) for row in rows} == {
        ("undeliverable", "unsubscribe", 0)
    }
    await working.close()


async def test_parked_mail_is_looked_at_again(broker: Broker, working: Working) -> None:
    """It waits for its turn when its recipient is suppressed."""
    site = working.world.sites["a.example"]
    site.limit = 1
    await submit(broker, make_entry("first@a.example", sender=""))
    await until(lambda: site.asked)
    await submit(broker, make_entry("x@a.example", sender=""))
    await until(lambda: working.worker.park.parked)
    await suppress(broker, working, "x@a.example")
    site.gate.set()
    await until(lambda: finished(broker))
    assert site.asked == ["first@a.example"]
    assert await types(broker) == {"first@a.example": ["delivered"], "x@a.example": ["suppressed"]}


async def test_who_bounces_hard_is_suppressed_before_the_entry_goes(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the broker has to be asked."""
    tried = 0
    change = store.change

    async def unwilling(*args: object, **keys: object) -> bool:
        nonlocal tried
        tried += 1
        if tried < 2:
            raise NoBrokerError("not now")
        assert not await finished(broker)
        return await change(*args, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(changes.store, "change", unwilling)
    hard(monkeypatch)
    working.world.failure = refused()
    await submit(broker, make_entry("x@a.example", notify="NEVER"))
    await until(lambda: finished(broker))
    [one] = await store.of(broker, "x@a.example")
    assert (one.source, one.scope, tried) == (Source.BOUNCE, "@sender.example", 2)
    [row] = [row async for row in told_rows(broker) if row["type"] == "admin"]
    assert (row["reason"], row["recipient"], row["sender"]) == ("suppression", "x@a.example", "@sender.example")
    assert f"; {one.by}: invalid-recipient: 550" in row["text"]


def hard(monkeypatch: pytest.MonkeyPatch, bounce_type: str = "hard", bounce_class: str = "invalid-recipient") -> None:
    """What the classifier finds."""
    bounced = record.Attempt.bounced

    def classified(*args: object) -> object:
        row = bounced(*args)  # type: ignore[arg-type]
        row.bounce_type, row.bounce_class = bounce_type, bounce_class
        return row

    monkeypatch.setattr(record.Attempt, "bounced", classified)


async def test_a_delivery_takes_soft_bounces_back(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard(monkeypatch, "soft", "mailbox-full")
    working.world.failure = refused("Mailbox is full", "5.2.2")
    known: Suppressions = working.worker.suppressor._known
    await submit(broker, make_entry("x@a.example", notify="NEVER"))
    await until(lambda: finished(broker))
    assert [one.source for one in await store.of(broker, "x@a.example")] == [Source.COUNTED]
    await until(lambda: len(known))
    working.world.failure = None
    working.world.sites["a.example"].gate.set()
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: finished(broker))
    assert await store.of(broker, "x@a.example") == []


async def test_without_suppressions_nothing_is_stored(broker: Broker, working: Working) -> None:
    working.world.sites["a.example"].gate.set()
    await submit(broker, make_entry("x@a.example"))
    await until(lambda: finished(broker))
    assert await broker.subjects(store.STREAM, ">") == {}
