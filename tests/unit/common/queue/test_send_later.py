"""Mail sent later is stored as the broker's own schedules, all of it or none, and comes out once when it is due."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from queue_support import CONTENT, Outlet, batch, intake_of, kinds, left, open_outlet, row, rows, submit
from support import Nats, make_entry, until

from common import subjects
from common.broker import Broker, Stored, UnknownOutcomeError
from common.content import BodyRef, store
from common.entry import Entry
from common.event import Type
from common.queue import listing, overdue, take
from common.queue.schedule import scheduled
from common.queue.sweep import Sweeper
from common.submit_error import SubmitError

FAR = 3600.0


@pytest.fixture
async def outlet(broker: Broker) -> AsyncIterator[Outlet]:
    outlet = await open_outlet(broker)
    yield outlet
    await outlet.close()


def later(seconds: float, count: int = 1) -> list[Entry]:
    """A submission to be sent in so many seconds."""
    return batch(count, due=time.time() + seconds)


async def deliver(outlet: Outlet) -> Entry:
    """Take the next entry that counts and finish it."""
    while True:
        taken = await outlet.take()
        if await outlet.taker.is_current(taken):
            break
        await outlet.finisher.drop(taken)
    assert taken.begin()
    await outlet.finisher.done(taken, row(taken.entry, Type.DELIVERED))
    return taken.entry


async def nothing_left(broker: Broker) -> bool:
    return not await left(broker) and not await left(broker, "BODY")


@pytest.mark.parametrize("count", [1, 3])
async def test_it_waits_and_comes_out_once_when_it_is_due(broker: Broker, outlet: Outlet, count: int) -> None:
    entries = later(1.5, count)
    await submit(broker, *entries)
    assert await kinds(broker) == ["s"] * count
    delivered = [await deliver(outlet) for _ in range(count)]
    assert time.time() >= entries[0].due
    assert sorted(entry.id for entry in delivered) == sorted(entry.id for entry in entries)
    assert await nothing_left(broker)
    assert await rows(broker) == ["accepted"] + ["delivered"] * count


async def test_mails_of_both_kinds_share_a_step(broker: Broker) -> None:
    intake = intake_of(broker)
    mails = [*(later(FAR, 2) for _ in range(5)), *([make_entry()] for _ in range(10))]
    await asyncio.gather(*(intake.submit(mail, CONTENT, row(mail[0])) for mail in mails))
    assert await kinds(broker) == ["q"] * 10 + ["s"] * 10


@pytest.mark.parametrize(("size", "in_body"), [(1000, False), (20_000, True)])
async def test_large_content_is_not_in_what_the_broker_holds_in_memory(
    broker: Broker, size: int, in_body: bool
) -> None:
    await submit(broker, *later(FAR), content=store(os.urandom(size)))
    (listed,) = [listed async for listed in listing.entries(broker, "default")]
    assert listed.entry
    assert isinstance(listed.entry.content, BodyRef) == in_body
    assert len(await left(broker, "BODY")) == in_body


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("killed", [False, True])
async def test_a_repeat_after_an_unknown_outcome_is_not_stored_twice(
    nats: Nats, broker: Broker, monkeypatch: pytest.MonkeyPatch, count: int, killed: bool
) -> None:
    request, asked = broker.request, 0

    async def forgetful(subject: str, *args: Any, **options: Any) -> Any:
        nonlocal asked
        answer = await request(subject, *args, **options)
        if subject.startswith("s."):
            asked += 1
            if asked == 1:
                if killed:
                    nats.kill()
                    nats.start()
                raise UnknownOutcomeError("the answer is lost")
        return answer

    monkeypatch.setattr(broker, "request", forgetful)
    await submit(broker, *later(FAR, count))
    state = (await broker.api("STREAM.INFO.MQ_default"))["state"]
    assert asked == 2
    assert (state["messages"], state["last_seq"]) == (count, count)


@pytest.mark.parametrize("count", [1, 3])
async def test_a_repeat_of_what_has_fired_meanwhile_is_not_stored_again(broker: Broker, count: int) -> None:
    messages = [scheduled(subjects.entry("q", entry), entry.pack(), entry.id, entry.due) for entry in later(0, count)]
    await broker.store(messages)
    await until(lambda: _is(broker, ["q"] * count))
    await broker.store(messages)
    assert await kinds(broker) == ["q"] * count


@pytest.mark.parametrize("count", [1, 3])
async def test_what_is_refused_after_it_was_stored_is_purged(broker: Broker, count: int) -> None:
    config = (await broker.api("STREAM.INFO.EVENTS"))["config"]
    await broker.api("STREAM.UPDATE.EVENTS", config | {"max_bytes": 1})
    intake, entries = intake_of(broker), later(FAR, count)
    with pytest.raises(SubmitError) as refused:
        await intake.submit(entries, store(os.urandom(10_000)), row(entries[0]))
    assert refused.value.code == 452
    await until(lambda: nothing_left(broker))


@pytest.mark.parametrize("count", [1, 3])
async def test_due_while_the_broker_was_killed_goes_at_once_and_once(
    nats: Nats, broker: Broker, outlet: Outlet, count: int
) -> None:
    await until(lambda: outlet.lanes._count and len(outlet.lanes._mine) == outlet.lanes._count)
    due, not_due = later(1.5, count), later(FAR)
    await submit(broker, *due)
    await submit(broker, *not_due)
    nats.kill()
    await until(lambda: time.time() > due[0].due + 0.5)
    nats.start()
    delivered = [await deliver(outlet) for _ in range(count)]
    assert sorted(entry.id for entry in delivered) == sorted(entry.id for entry in due)
    assert await kinds(broker) == ["s"]
    assert await rows(broker) == ["accepted"] * 2 + ["delivered"] * count


async def test_a_broker_killed_during_submits_loses_none_and_all_come_out(
    nats: Nats, broker: Broker, outlet: Outlet
) -> None:
    await until(lambda: outlet.lanes._count and len(outlet.lanes._mine) == outlet.lanes._count)
    intake = intake_of(broker)
    mails = [later(4, 1 + number % 3) for number in range(60)]
    submits = [asyncio.create_task(intake.submit(mail, CONTENT, row(mail[0]))) for mail in mails[:30]]
    await asyncio.wait(submits, return_when=asyncio.FIRST_COMPLETED)
    submits += [asyncio.create_task(intake.submit(mail, CONTENT, row(mail[0]))) for mail in mails[30:]]
    nats.kill()
    nats.start()
    await asyncio.gather(*submits)
    expected = sorted(entry.id for mail in mails for entry in mail)
    assert sorted([(await deliver(outlet)).id for _ in expected]) == expected
    assert await nothing_left(broker)


async def test_a_deferral_of_it_is_told_from_its_schedule(broker: Broker, outlet: Outlet) -> None:
    await submit(broker, *later(1))
    (listed,) = [listed async for listed in listing.entries(broker, "default")]
    assert listed.sent_later
    assert listed.entry
    assert listed.due.startswith(time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(listed.entry.due)))
    taken = await outlet.take()
    again = taken.entry.but(attempts=1, last_reply="451 later")
    await outlet.finisher.defer(taken, row(again, Type.DEFERRED), again, time.time() + FAR)
    (listed,) = [listed async for listed in listing.entries(broker, "default")]
    assert not listed.sent_later


async def test_the_sweeper_sends_it_again_when_it_got_stuck(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker forgets a schedule whose target it could not store, here because it became too large."""
    entries = later(1)
    await submit(broker, *entries, content=os.urandom(2000))
    config = (await broker.api("STREAM.INFO.MQ_default"))["config"]
    await broker.api("STREAM.UPDATE.MQ_default", config | {"max_msg_size": 1000})
    await until(lambda: time.time() > entries[0].due + 1)  # nothing tells that it failed to fire
    await broker.api("STREAM.UPDATE.MQ_default", config)
    assert await kinds(broker) == ["s"]
    monkeypatch.setattr(overdue, "OVERDUE", 0)
    assert await Sweeper(broker, "default").sweep() == (1, 0)
    await until(lambda: _is(broker, ["q"]))


async def test_what_a_schedule_has_just_stored_is_not_taken_for_an_old_copy(
    broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker stores the entry and then removes its schedule; whoever looks between the two sees both."""
    (entry,) = later(1)
    await submit(broker, entry)
    schedule = await broker.last("MQ_default", subjects.entry("s", entry))
    taken = await outlet.take()
    taken.maybe_tried = True
    last, looks = broker.last, 0

    async def early(stream: str, subject: str) -> Stored | None:
        nonlocal looks
        looks += subject.startswith("s.")
        return schedule if subject.startswith("s.") and looks < 3 else await last(stream, subject)

    monkeypatch.setattr(broker, "last", early)
    assert await outlet.taker.is_current(taken)
    assert looks == 3


async def test_beside_a_schedule_that_is_stuck_an_entry_waits(
    broker: Broker, outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make_entry()
    await submit(broker, entry)
    taken = await outlet.take()
    taken.maybe_tried = True
    ready = subjects.entry("q", entry)
    stuck = scheduled(ready, b"", "", time.time() - 1)
    last = broker.last

    async def with_stuck(stream: str, subject: str) -> Stored | None:
        if subject.startswith("s."):
            return Stored(subject, 1, b"", stuck.headers, "")
        return await last(stream, subject)

    monkeypatch.setattr(broker, "last", with_stuck)
    monkeypatch.setattr(take, "FIRING_TIME", 0.1)
    with pytest.raises(UnknownOutcomeError, match="not fired"):
        await outlet.taker.is_current(taken)
    assert await kinds(broker) == ["q"]


async def _is(broker: Broker, expected: list[str]) -> bool:
    return await kinds(broker) == expected
