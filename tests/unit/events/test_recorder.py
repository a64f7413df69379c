"""Every row exactly once, whatever fails or is killed between intent, insert and purge."""

import asyncio
import threading
import time
from typing import Any

import pytest
from queue_support import connected
from recorder_support import KilledError, Wrapped, happen, left, recorded, recorder
from structlog.testing import capture_logs
from support import Nats, until

from common.broker import Broker, Message, UnknownOutcomeError, with_id
from common.event import Event, Type, pack
from common.queue import rows, streams
from events import recorder as recorder_module
from events.recorder import Recorder
from events.store import Columns, NotReachableError, RefusedError, Store


class Failing(Wrapped):
    """A store that fails before or after it inserts, once."""

    def __init__(self, store: Store, *, before: Exception | None = None, after: Exception | None = None) -> None:
        super().__init__(store)
        self.before, self.after = before, after

    def insert(self, table: str, columns: Columns, token: str) -> None:
        before, self.before = self.before, None
        if before:
            raise before
        super().insert(table, columns, token)
        after, self.after = self.after, None
        if after:
            raise after


def failing_once(broker: Broker, verb: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request of this verb fails before it is sent."""
    api = broker.api

    async def fails(asked: str, *args: Any) -> Any:
        if asked.startswith(verb):
            monkeypatch.setattr(broker, "api", api)
            raise error
        return await api(asked, *args)

    monkeypatch.setattr(broker, "api", fails)


async def test_recorded_in_order_with_place_and_purged(broker: Broker, store: Store) -> None:
    ids = await happen(broker, 5)
    await recorder(broker, store).run()
    assert recorded(store) == ids
    places = store.query("SELECT stream_sequence AS s, row_number AS r FROM events ORDER BY s, r", {})
    assert [(place["s"], place["r"]) for place in places] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    assert await left(broker) == 0


async def test_a_backlog_goes_in_several_inserts(
    broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "PAGE", 3)
    monkeypatch.setattr(recorder_module, "RANGE_BYTES", 1)
    ids = await happen(broker, 40)
    await recorder(broker, store).run()
    assert recorded(store) == ids


async def test_once_although_the_purge_after_an_insert_fails(
    broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await happen(broker, 3)
    api, failed = broker.api, asyncio.Event()

    async def fails_once(verb: str, *args: Any) -> Any:
        if verb.startswith("STREAM.PURGE.EVENTS") and not failed.is_set():
            ids.extend(await happen(broker, 3))  # so that the next range would be another one
            failed.set()
            raise UnknownOutcomeError("lost")
        return await api(verb, *args)

    monkeypatch.setattr(broker, "api", fails_once)
    await recorder(broker, store).run()
    assert failed.is_set()
    assert recorded(store) == ids
    assert await left(broker) == 0


async def _again(broker: Broker, nats: Nats, *messages: Message) -> None:
    """The broker is started again, and who had no answer sends its messages once more."""
    nats.kill()
    nats.start()
    await until(lambda: broker.client.is_connected)
    for message in messages:
        await broker.store([message])


@pytest.mark.parametrize("same_recorder", [True, False])
async def test_once_although_the_broker_forgot_what_was_recorded(
    broker: Broker, store: Store, nats: Nats, same_recorder: bool
) -> None:
    first, second = ([Event(time=time.time(), type=Type.DELIVERED) for _ in range(3)] for _ in range(2))
    await broker.put(rows.message("default", first))
    one = recorder(broker, store)
    await one.run()
    await _again(broker, nats, rows.message("default", first), rows.message("default", second))
    assert await left(broker) == 2, "the broker did not forget"
    await (one if same_recorder else recorder(broker, store)).run()
    assert recorded(store) == [event.id for event in first + second]
    assert await left(broker) == 0


async def test_once_although_forgotten_while_the_range_behind_it_is_under_way(
    broker: Broker, store: Store, nats: Nats
) -> None:
    first, second = ([Event(time=time.time(), type=Type.DELIVERED)] for _ in range(2))
    await broker.put(rows.message("default", first))
    await recorder(broker, store).run()
    await _again(broker, nats, rows.message("default", first), rows.message("default", second))
    with pytest.raises(KilledError):
        await recorder(broker, Failing(store, after=KilledError())).run()
    assert recorded(store) == [event.id for event in first + second]
    await recorder(broker, store).run()
    assert recorded(store) == [event.id for event in first + second]


async def test_once_although_killed_between_intent_and_insert(broker: Broker, store: Store) -> None:
    ids = await happen(broker, 3)
    with pytest.raises(KilledError):
        await recorder(broker, Failing(store, before=KilledError())).run()
    ids += await happen(broker, 3)
    await recorder(broker, store).run()
    assert recorded(store) == ids


async def test_once_although_killed_between_insert_and_purge(
    broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await happen(broker, 3)
    failing_once(broker, "STREAM.PURGE.EVENTS", KilledError(), monkeypatch)
    with pytest.raises(KilledError):
        await recorder(broker, store).run()
    assert recorded(store) == ids
    ids += await happen(broker, 3)
    await recorder(broker, store).run()
    assert recorded(store) == ids
    assert await left(broker) == 0


@pytest.mark.parametrize("failure", [RefusedError("no"), NotReachableError("gone")])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_once_although_an_insert_is_refused_or_not_confirmed(
    broker: Broker, store: Store, failure: Exception, when: str
) -> None:
    ids, stopping = await happen(broker, 3), asyncio.Event()
    recording = asyncio.create_task(Recorder(broker, Failing(store, **{when: failure}), stopping).run())  # type: ignore[arg-type]
    with capture_logs() as logged:
        await until(lambda: any("takes events again" in entry["event"] for entry in logged))
    stopping.set()
    await recording
    assert [said(entry) for entry in logged if "trying again" in entry["event"]] == [
        f"recorder: {failure}; about 3 events wait (268 B), nothing is lost; trying again"
    ]
    assert recorded(store) == ids


def said(entry: Any) -> str:
    return str(entry["event"]) % tuple(entry.get("positional_args", ()))


async def test_once_although_the_broker_is_killed_during_an_insert(
    nats: Nats, broker: Broker, store: Store
) -> None:
    ids = await happen(broker, 3)
    killed = threading.Event()

    class Killing(Wrapped):
        def insert(self, table: str, columns: Columns, token: str) -> None:
            super().insert(table, columns, token)
            if not killed.is_set():
                nats.kill()
                killed.set()

    stopping = asyncio.Event()
    recording = asyncio.create_task(Recorder(broker, Killing(store), stopping).run())  # type: ignore[arg-type]
    await until(killed.is_set)
    more = Event(time=time.time(), type=Type.DELIVERED)  # so that the next range would be another one
    nats.start()
    await broker.store([with_id("e.default", pack([more]), "more")])
    stopping.set()
    await recording
    assert recorded(store) == [*ids, more.id]


async def test_one_that_lost_its_lease_before_its_intent_does_not_double(
    nats: Nats, broker: Broker, store: Store
) -> None:
    ids = await happen(broker, 3)
    async with connected(nats) as other:
        put, go_on, reached = other.put, asyncio.Event(), asyncio.Event()

        async def late(message: Message) -> int:
            reached.set()
            await go_on.wait()
            return await put(message)

        other.put = late  # type: ignore[method-assign,assignment]
        slow = asyncio.create_task(recorder(other, store).run())
        await reached.wait()  # it has read its range
        ids += await happen(broker, 3)
        await recorder(broker, store).run()
        assert recorded(store) == ids
        go_on.set()
        await slow
    assert recorded(store) == ids


async def test_one_that_lost_its_lease_before_its_insert_does_not_double(
    nats: Nats, broker: Broker, store: Store
) -> None:
    ids = await happen(broker, 3)
    go_on, reached = threading.Event(), threading.Event()

    class Late(Wrapped):
        def insert(self, table: str, columns: Columns, token: str) -> None:
            reached.set()
            go_on.wait()
            super().insert(table, columns, token)

    async with connected(nats) as other:
        slow = asyncio.create_task(recorder(other, Late(store)).run())
        await until(reached.is_set)
        ids += await happen(broker, 3)
        await recorder(broker, store).run()
        go_on.set()
        await slow
    assert recorded(store) == ids
    assert await left(broker) == 0


async def test_a_new_store_begins_again_at_one(broker: Broker, store: Store) -> None:
    ids = await happen(broker, 3)
    await recorder(broker, store).run()
    await broker.api("STREAM.DELETE.EVENTS")
    await streams.ensure(broker, ["default"], 10**9)
    ids += await happen(broker, 3)
    await recorder(broker, store).run()
    assert sorted(recorded(store)) == sorted(ids)


async def test_stopping_records_what_is_there_first(broker: Broker, store: Store) -> None:
    stopping = asyncio.Event()
    recording = asyncio.create_task(Recorder(broker, store, stopping).run())
    ids = await happen(broker, 1)
    await until(lambda: recorded(store) == ids)
    ids += await happen(broker, 6)
    stopping.set()
    await recording
    assert recorded(store) == ids


async def test_stopping_while_nothing_can_be_recorded_leaves_it(broker: Broker, store: Store) -> None:
    ids = await happen(broker, 3)
    away = Failing(store, before=NotReachableError("gone"))
    await recorder(broker, away).run()
    assert (recorded(store), away.before) == ([], None)
    assert await left(broker) == 2
    await recorder(broker, store).run()
    assert recorded(store) == ids


async def test_stopping_while_clickhouse_does_not_answer(
    broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "GRACE", 0.1)
    ids = await happen(broker, 3)
    never = threading.Event()

    class Hanging(Wrapped):
        def insert(self, table: str, columns: Columns, token: str) -> None:
            never.wait()
            super().insert(table, columns, token)

    await recorder(broker, Hanging(store)).run()
    await recorder(broker, store).run()
    assert recorded(store) == ids
    never.set()


async def test_stopping_while_the_broker_is_away(nats: Nats, broker: Broker, store: Store) -> None:
    nats.kill()
    await recorder(broker, store).run()
