"""What lies in EVENTS becomes messages in HOOKS: all of it, once, whatever happens in between."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hooks_support import endpoint
from queue_support import connected
from support import Nats, until

from common.broker import Broker, BrokerFailure, Message, UnknownOutcomeError
from common.event import Event, Type, unpack
from common.queue import listing, moving, rows, streams
from common.webhook import Webhook
from events import positions
from events.hooks import queue, reader, state
from events.hooks.queue import Room
from events.hooks.reader import Reader
from events.hooks.state import States
from events.story import rfc3339


def event(type_: Type = Type.DELIVERED, **more: Any) -> Event:
    return Event(time=time.time(), type=type_, **more)


async def happen(broker: Broker, *events: Event) -> list[str]:
    await broker.put(rows.message("default", events))
    return [one.id for one in events]


async def queued(broker: Broker, name: str = "crm") -> list[str]:
    """The ids of what waits for an endpoint, in order."""
    filter_ = f"w.q.{name}.>"
    return [one.subject.rpartition(".")[2] async for one in listing.walk(broker, "HOOKS", filter_)]


async def notices(broker: Broker) -> list[str]:
    return [
        row["text"] async for one in listing.walk(broker, "EVENTS", "e.>") for row in unpack(one.body)
        if row["type"] == "admin"
    ]  # fmt: skip


@asynccontextmanager
async def reading(broker: Broker, *endpoints: Webhook, max_store: int = 10**9) -> AsyncIterator[None]:
    stopping, states = asyncio.Event(), States(broker)
    await states.look()
    one = Reader(broker, endpoints, states, Room(broker, endpoints, max_store), stopping)
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        stopping.set()
        await task


async def has_read(broker: Broker) -> bool:
    position = await positions.read(broker, "hooks")
    last = (await broker.api("STREAM.INFO.EVENTS"))["state"]["last_seq"]
    return position is not None and position.next == last + 1


async def test_to_each_what_it_wants(broker: Broker) -> None:
    ids = await happen(broker, event(), event(Type.BOUNCED), event(Type.ADMIN))
    async with reading(broker, endpoint(), endpoint(name="bounces", types=["bounced"])):
        await until(lambda: has_read(broker))
        ids += await happen(broker, event())
        await until(lambda: has_read(broker))
    assert await queued(broker) == [ids[0], ids[1], ids[3]]
    assert await queued(broker, "bounces") == [ids[1]]


async def test_what_cannot_be_read_is_left_to_the_recorder(broker: Broker) -> None:
    await broker.put(Message("e.default", b"nonsense"))
    ids = await happen(broker, event())
    async with reading(broker, endpoint()):
        await until(lambda: has_read(broker))
    assert await queued(broker) == ids


async def test_killed_before_its_position_is_stored(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored by then comes again under the same ids, together with what came meanwhile."""
    ids = await happen(broker, event(), event())
    write = positions.write

    async def fails(*_: Any) -> Any:
        raise BrokerFailure("killed")

    monkeypatch.setattr(reader, "RETRY", 0.05)
    async with reading(broker, endpoint()):
        await until(lambda: has_read(broker))
        monkeypatch.setattr(positions, "write", fails)
        ids += await happen(broker, event(), event())
        await until(lambda: _has(broker, 4))
    monkeypatch.setattr(positions, "write", write)
    ids += await happen(broker, event())
    async with reading(broker, endpoint()):
        await until(lambda: has_read(broker))
    assert await queued(broker) == ids


async def test_killed_before_anything_is_stored(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, store = await happen(broker, event(), event()), queue.store

    async def fails(*_: Any) -> None:
        failed.set()
        raise BrokerFailure("killed")

    failed = asyncio.Event()
    monkeypatch.setattr(queue, "store", fails)
    async with reading(broker, endpoint()):
        await failed.wait()
    monkeypatch.setattr(queue, "store", store)
    async with reading(broker, endpoint()):
        await until(lambda: has_read(broker))
    assert await queued(broker) == ids


async def _has(broker: Broker, count: int) -> bool:
    return len(await queued(broker)) == count


async def test_the_broker_killed_in_between(
    nats: Nats, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "RETRY", 0.05)
    ids = await happen(broker, *(event() for _ in range(5)))
    store, killed = queue.store, asyncio.Event()

    async def kills(*args: Any) -> None:
        await store(*args)
        if not killed.is_set():
            killed.set()
            nats.kill()
            nats.start()
            raise UnknownOutcomeError("killed")

    monkeypatch.setattr(queue, "store", kills)
    async with reading(broker, endpoint()):
        await until(killed.is_set)
        await until(lambda: broker.client.is_connected)
        await until(lambda: has_read(broker))
    assert await queued(broker) == ids


async def test_two_that_read_do_not_double(nats: Nats, broker: Broker) -> None:
    ids = await happen(broker, *(event() for _ in range(20)))
    async with connected(nats) as other, reading(broker, endpoint()), reading(other, endpoint()):
        ids += await happen(broker, *(event() for _ in range(20)))
        await until(lambda: has_read(broker))
    assert sorted(await queued(broker)) == sorted(ids)


async def test_a_new_store_begins_again_at_one(broker: Broker) -> None:
    await happen(broker, event())
    async with reading(broker, endpoint()):
        await until(lambda: has_read(broker))
        await broker.api("STREAM.DELETE.EVENTS")
        await streams.ensure(broker, ["default"], 10**9)
        ids = await happen(broker, event())
        await until(lambda: _has(broker, 2))
    assert (await queued(broker))[1:] == ids


async def test_disabled_gets_nothing_until_it_is_enabled(broker: Broker) -> None:
    async with reading(broker, endpoint(), endpoint(name="other")):
        assert await state.disable(broker, "crm", "by a test")
        left_out = await happen(broker, event())
        await until(lambda: has_read(broker))
        await state.enable(broker, "crm", "a test")
        ids = await happen(broker, event())
        await until(lambda: has_read(broker))
    assert await queued(broker) == ids
    assert await queued(broker, "other") == left_out + ids
    assert [text.partition(":")[0] for text in await notices(broker)] == [
        "webhook crm is disabled", "webhook crm is enabled by a test"
    ]  # fmt: skip


async def test_full_leaves_out_the_rest_and_holds_up_nobody(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LOOK", 0.0)
    async with reading(broker, endpoint(max_waiting=10), endpoint(name="other")):
        ids = []
        for _ in range(5):
            ids += await happen(broker, *(event() for _ in range(5)))
            await until(lambda: has_read(broker))
        assert await queued(broker) == ids[:10]
        assert await queued(broker, "other") == ids
        await broker.purge("HOOKS", "w.q.crm.>")
        await until(lambda: notices(broker))
        ids += await happen(broker, event())
        await until(lambda: has_read(broker))
    assert await queued(broker) == ids[-1:]
    [notice] = await notices(broker)
    assert notice.startswith("webhook crm: events since 20")
    assert "left out, there was no room; postjet webhook replay crm --since 20" in notice


async def test_who_reads_next_tells_of_what_was_left_out(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LOOK", 0.0)
    first = time.time() - 3600
    async with reading(broker, endpoint(max_waiting=1)):
        await happen(broker, event())
        await until(lambda: has_read(broker))
        for at in (first + 60, first, first + 30):  # a report's time is when it came, not when it was read
            await happen(broker, Event(time=at, type=Type.DELIVERED))
            await until(lambda: has_read(broker))
    await happen(broker, event())
    await broker.purge("HOOKS", "w.q.crm.>")
    async with reading(broker, endpoint(max_waiting=1)):
        await until(lambda: notices(broker))
    [notice] = await notices(broker)
    assert notice.endswith(f"postjet webhook replay crm --since {rfc3339(first)}")
    assert (await state.read_all(broker))["crm"].full == 0


async def test_of_a_small_store_each_has_its_share(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A twentieth of it for all, so many bytes for each of the two."""
    monkeypatch.setattr(queue, "LOOK", 0.0)
    async with reading(broker, endpoint(types=["bounced"]), endpoint(name="other"), max_store=20 * 20 * 1000):
        for _ in range(4):
            await happen(broker, *(event(Type.BOUNCED) for _ in range(4)))
            await until(lambda: has_read(broker))
        await broker.purge("HOOKS", "w.q.other.>")
        await happen(broker, event(Type.BOUNCED))
        await until(lambda: has_read(broker))
    assert len(await queued(broker)) == 10
    assert len(await queued(broker, "other")) >= 1


async def test_what_was_purged_unread_is_told(broker: Broker) -> None:
    async with reading(broker, endpoint()):
        await happen(broker, event())
        await until(lambda: has_read(broker))
    for _ in range(3):
        await happen(broker, event())
    await broker.api("STREAM.PURGE.EVENTS", {"seq": 4})
    async with reading(broker, endpoint()):
        await until(lambda: _has(broker, 2))
        await until(lambda: notices(broker))
    [notice] = await notices(broker)
    assert notice.startswith("webhooks: 2 messages of events were purged before they were read")


async def test_more_than_one_batch(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "BATCH", 7)
    ids = await happen(broker, *(event() for _ in range(30)))
    async with reading(broker, endpoint()):
        await until(lambda: has_read(broker))
    assert await queued(broker) == ids


async def test_one_that_is_there_already_does_not_keep_the_others_out(broker: Broker) -> None:
    """The broker refuses a whole batch for it."""
    hooks = [queue.Hook(endpoint="crm", id=str(n), body=b"{}", since=1.0) for n in range(5)]
    await queue.store(broker, [hooks[2].ready()])
    await queue.store(broker, [hook.ready() for hook in hooks])
    assert sorted(await queued(broker)) == ["0", "1", "2", "3", "4"]
