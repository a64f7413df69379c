"""Recorded events once more."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace as changed
from typing import Any

import pytest
from clickhouse_support import ClickHouse, columns
from hooks_support import endpoint
from support import until

from common.broker import Broker
from common.event import Event, Type, pack, unpack
from common.queue import listing
from common.webhook import Webhook
from events.hooks import queue, replay
from events.hooks.payload import identifier, payload
from events.hooks.queue import PART, Room
from events.hooks.replay import Replayed
from events.store import Store

NOW = float(int(time.time()) - 100)


def record(store: Store, events: list[Event]) -> None:
    rows: list[dict[str, Any]] = [
        row | {"stream_sequence": 1, "row_number": n} for n, row in enumerate(unpack(pack(events)))
    ]
    store.insert("events", columns(rows), "token")


async def bodies(broker: Broker) -> dict[str, bytes]:
    return {one.subject.rpartition(".")[2]: one.body async for one in listing.walk(broker, "HOOKS", "w.q.>")}


async def again(broker: Broker, store: Store, to: Webhook, since: float, only: Collection[Type] = ()) -> Replayed:
    return await replay.replay(broker, store, to, Room(broker, [to], 10**9), since, only)


def some(count: int) -> list[Event]:
    return [
        Event(time=NOW + n // 3 + 0.0007, type=Type.BOUNCED if n % 2 else Type.DELIVERED, id=f"id{n:03}",
              recipient="r@b.test", domain="b.test", tags=("a",), meta={"k": "v"}, code=250, text="fine",
              webhook="crm" if n == 4 else "")
        for n in range(count)
    ]  # fmt: skip


async def test_the_same_bodies_under_the_same_ids(
    broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PAGE", 7)
    events = some(40)
    record(store, events)
    assert await again(broker, store, endpoint(), NOW) == Replayed(40)
    assert await bodies(broker) == {identifier(row): payload(row) for row in unpack(pack(events))}


async def test_since_types_and_filters(broker: Broker, store: Store) -> None:
    record(store, some(12))
    assert await again(broker, store, endpoint(), NOW + 3, [Type.BOUNCED]) == Replayed(2)
    assert sorted(await bodies(broker)) == ["id009", "id011"]
    await broker.purge("HOOKS", ">")
    assert await again(broker, store, endpoint(only_named=True), NOW) == Replayed(1)
    assert await again(broker, store, endpoint(types=["expired"]), NOW) == Replayed(0)
    assert sorted(await bodies(broker)) == ["id004"]


async def test_no_more_than_may_wait(broker: Broker, store: Store) -> None:
    record(store, some(12))
    to = endpoint(max_waiting=5)
    first = await again(broker, store, to, NOW)
    assert first == Replayed(5, NOW + 1.001)
    await until(lambda: _is(broker, 5))
    await broker.purge("HOOKS", ">")
    await again(broker, store, to, first.until)
    assert sorted(await bodies(broker)) == [f"id{n:03}" for n in range(3, 8)]


async def test_no_more_bytes_than_may_wait(broker: Broker, store: Store) -> None:
    record(store, [changed(event, text="x" * 4000) for event in some(100)])
    to, share = endpoint(), 100_000
    first = await replay.replay(broker, store, to, Room(broker, [to], int(share / PART)), NOW)
    assert first.until
    stored = await bodies(broker)
    assert first.queued == len(stored)
    assert share < sum(map(len, stored.values())) < share + 5000
    second = await replay.replay(broker, store, to, Room(broker, [to], int(share / PART)), first.until)
    assert second == Replayed(0, first.until)  # until some of them are sent


async def _is(broker: Broker, count: int) -> bool:
    return await queue.waiting(broker, "crm") == count


async def test_once_more_though_it_was_sent_a_moment_ago(broker: Broker, store: Store) -> None:
    record(store, some(3))
    for _ in range(2):
        assert await again(broker, store, endpoint(), NOW) == Replayed(3)
        assert len(await bodies(broker)) == 3
        await broker.purge("HOOKS", ">")


async def test_nothing_is_recorded_yet(broker: Broker, clickhouse: ClickHouse) -> None:
    store = await asyncio.to_thread(clickhouse.store)
    assert await again(broker, store, endpoint(), NOW) == Replayed(0)
    store.close()
