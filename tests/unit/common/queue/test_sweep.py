"""The sweeper removes what nobody needs any more, and nothing else; schedules that got stuck go out."""

import time
from datetime import UTC, datetime

import pytest
from queue_support import CONTENT, kinds, left, rows, submit
from support import make_entry, until

from common import subjects
from common.broker import Broker, Message
from common.entry import Entry
from common.ids import new_id
from common.queue import overdue
from common.queue.bodies import Bodies
from common.queue.sweep import Sweeper


async def put(broker: Broker, kind: subjects.Kind, entry: Entry, due: float = 0) -> None:
    """An entry in one of its states; ``due`` in seconds since 1970."""
    headers = {
        "Nats-Schedule": f"@at {datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "Nats-Schedule-Target": subjects.entry("q", entry),
        "Nats-Schedule-Rollup": "sub",
    }
    await broker.put(Message(subjects.entry(kind, entry), entry.pack(), headers if kind != "q" else {}))


async def test_new_content_stays_however_long_its_mail_took_to_arrive(broker: Broker) -> None:
    await Bodies(broker, "default").put(new_id(time.time() - 7200), CONTENT)
    assert await Sweeper(broker, "default").sweep() == (0, 0)
    assert len(await left(broker, "BODY")) == 1


async def test_old_content_without_entries_goes_chunks_too(broker: Broker) -> None:
    await Bodies(broker, "default").put(new_id(), CONTENT)
    chunked = subjects.body("default", new_id())
    for i in range(2):
        await broker.put(Message(f"{chunked}.{i}", b"part"))
    assert await Sweeper(broker, "default", orphan_age=0).sweep() == (0, 2)
    assert await left(broker, "BODY") == {}


@pytest.mark.parametrize("kind", ["q", "s", "h"])
async def test_old_content_of_an_entry_stays_whatever_state_it_is_in(broker: Broker, kind: subjects.Kind) -> None:
    entry = make_entry()
    await Bodies(broker, "default").put(entry.submission, CONTENT)
    await put(broker, kind, entry, time.time() + 3600)
    assert await Sweeper(broker, "default", orphan_age=0).sweep() == (0, 0)
    assert len(await left(broker, "BODY")) == 1


async def test_orphans_are_looked_for_once_in_their_age(broker: Broker) -> None:
    sweeper = Sweeper(broker, "default", orphan_age=0)
    sweeper.orphan_age = 3600
    await sweeper.sweep()
    sweeper.orphan_age = 0
    await Bodies(broker, "default").put(new_id(), CONTENT)
    assert await sweeper.sweep() == (0, 0)


async def test_a_stuck_schedule_is_sent_again_and_fires(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker forgets a schedule whose target it could not store, here because it became too large."""
    due = time.time() + 0.3
    await put(broker, "s", make_entry(content=bytes(2000)), due)
    config = (await broker.api("STREAM.INFO.MQ_default"))["config"]
    await broker.api("STREAM.UPDATE.MQ_default", config | {"max_msg_size": 1000})
    await until(lambda: time.time() > due + 1)  # nothing tells that it failed to fire
    await broker.api("STREAM.UPDATE.MQ_default", config)
    assert await kinds(broker) == ["s"]
    monkeypatch.setattr(overdue, "OVERDUE", 0)
    assert await Sweeper(broker, "default").sweep() == (1, 0)
    await until(lambda: _is(broker, ["q"]))


async def test_a_schedule_that_fires_meanwhile_is_not_doubled(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(broker, "s", make_entry(), time.time() + 0.5)
    send = broker.put

    async def late(message: Message) -> int:
        await until(lambda: _is(broker, ["q"]))
        return await send(message)

    monkeypatch.setattr(overdue, "OVERDUE", -3600)
    monkeypatch.setattr(broker, "put", late)
    assert await Sweeper(broker, "default").sweep() == (0, 0)
    assert await kinds(broker) == ["q"]


async def test_schedules_that_are_not_due_and_held_entries_are_left_alone(broker: Broker) -> None:
    await put(broker, "s", make_entry(), time.time() + 3600)
    await put(broker, "h", make_entry(), time.time() + 3600)
    await submit(broker, make_entry())
    before = (await broker.api("STREAM.INFO.MQ_default"))["state"]["last_seq"]
    assert await Sweeper(broker, "default", orphan_age=0).sweep() == (0, 0)
    assert (await broker.api("STREAM.INFO.MQ_default"))["state"]["last_seq"] == before
    assert await rows(broker) == ["accepted"]


async def _is(broker: Broker, expected: list[str]) -> bool:
    return await kinds(broker) == expected
