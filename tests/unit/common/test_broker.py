"""The connection: what is too large, lost or refused is said at once, and the next request works."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from support import Nats, until

from common.broker import Broker, BrokerError, Message, NoBrokerError, UnknownOutcomeError, with_id
from common.queue import listing


@pytest.fixture
async def stopped(nats: Nats, broker: Broker) -> AsyncIterator[Broker]:
    """Connected to a server that does not answer until it is killed."""
    nats.freeze()
    yield broker
    nats.thaw()


async def test_what_is_too_large_is_refused_and_the_client_lives_on(broker: Broker) -> None:
    client, limit = broker.client, broker.client.max_payload
    headers = {"Nats-Msg-Id": "x"}
    for too_large in (limit, limit + 1, 2 * limit):
        with pytest.raises(ValueError, match=f"max_payload {limit}"):
            await broker.put(Message("b.default.x", bytes(too_large), headers))
    await broker.put(Message("b.default.x", bytes(limit - 64 - len("Nats-Msg-Idx") - 4), headers))
    assert broker.client is client
    assert client.is_connected
    assert not broker._replies


async def test_who_leaves_does_not_wait_for_a_server_that_takes_nothing(nats: Nats) -> None:
    leaving = nats.broker()
    await leaving.connect()
    nats.freeze()
    await leaving.client.send(bytes(10_000_000))  # more than sockets hold
    await leaving.close()  # the test's time limit would end it
    assert leaving.client.is_closed
    nats.thaw()


async def test_a_lost_connection_fails_what_was_asked_at_once(nats: Nats, stopped: Broker) -> None:
    asked = [
        asyncio.create_task(stopped.request("$JS.API.INFO", timeout=3600)),
        asyncio.create_task(stopped.page("EVENTS", {"seq": 1, "batch": 1, "next_by_subj": ">"})),
    ]
    await until(lambda: stopped._replies and stopped._pages)
    nats.kill()
    for task in asked:
        with pytest.raises(UnknownOutcomeError, match="connection lost"):
            await asyncio.wait_for(task, 20)
    assert not stopped._replies
    assert not stopped._pages
    nats.start()
    await until(lambda: stopped.client.is_connected)


async def test_no_answer_is_an_unknown_outcome(stopped: Broker) -> None:
    with pytest.raises(UnknownOutcomeError, match=r"no answer within 0\.1 s"):
        await stopped.put(Message("e.default", b""), timeout=0.1)


async def test_nothing_is_kept_for_later_without_a_connection(nats: Nats, broker: Broker) -> None:
    nats.kill()
    await until(lambda: not broker.client.is_connected)
    one = Message("e.default", b"x")
    for refused in (
        broker.put(one),
        broker.put_batch([one, one]),
        broker.publish("x", b"x"),
        broker.api("INFO"),
        broker.page("EVENTS", {"seq": 1, "batch": 1, "next_by_subj": ">"}),
        broker.store([one], since=time.monotonic() - broker.known),
    ):
        with pytest.raises(NoBrokerError):
            await refused
    assert broker.client.pending_data_size == 0
    assert not broker._pages
    nats.start()
    await until(lambda: broker.client.is_connected)
    assert await broker.subjects("EVENTS", ">") == {}


async def test_a_client_that_the_server_threw_out_is_replaced(broker: Broker) -> None:
    client, got, connected = broker.client, asyncio.Event(), asyncio.Event()

    async def on_message(_: object) -> None:
        got.set()

    async def on_connect() -> None:
        connected.set()

    await broker.subscribe("news", on_message)
    broker.on_connect.append(on_connect)
    await client.publish("x" * 5000, b"")  # a control line over 4 KiB: -ERR, and nats-py closes for good
    await asyncio.wait_for(connected.wait(), 20)
    assert client.is_closed
    assert broker.client is not client
    await broker.publish("news", b"")
    await asyncio.wait_for(got.wait(), 20)
    assert (await broker.api("INFO"))["streams"]


async def test_subscriptions_go_on_after_a_restart_of_the_server(nats: Nats, broker: Broker) -> None:
    got = asyncio.Event()

    async def on_message(_: object) -> None:
        got.set()

    await broker.subscribe("news", on_message)
    nats.kill()
    await until(lambda: not broker.client.is_connected)
    nats.start()
    await until(lambda: broker.client.is_connected)
    await broker.publish("news", b"")
    await asyncio.wait_for(got.wait(), 20)


async def test_nobody_there_is_said_in_time() -> None:
    broker = Broker("nats://127.0.0.1:1", name="test")
    with pytest.raises(NoBrokerError):
        await asyncio.wait_for(broker.connect(timeout=0.5), 20)
    await broker.close()


async def test_closing_without_a_server_is_quiet(nats: Nats) -> None:
    broker = nats.broker()
    await broker.connect()
    nats.kill()
    await broker.client.publish("x", bytes(100_000))
    await broker.close()
    nats.start()


async def test_no_stream_for_a_subject(broker: Broker) -> None:
    with pytest.raises(NoBrokerError, match="no responders"):
        await broker.put(Message("nowhere", b""))


async def test_a_batch_is_stored_once_or_not_at_all(broker: Broker) -> None:
    batch = [with_id(f"q.default.1.b.-.s.{i}", b"x", f"s-{i}") for i in range(3)]
    await broker.store(batch)
    await broker.store(batch)
    assert len(await broker.subjects("MQ_default", ">")) == 3
    with pytest.raises(BrokerError):
        await broker.put_batch([with_id("q.default.1.b.-.s.9", b"x", "s-9"), batch[0]])
    assert len(await broker.subjects("MQ_default", ">")) == 3


async def test_a_batch_with_a_message_that_is_too_large(broker: Broker) -> None:
    """The server would end the connection."""
    large = Message("q.default.1.b.-.s.1", bytes(broker.client.max_payload))
    with pytest.raises(ValueError, match="max_payload"):
        await broker.put_batch([large, Message("q.default.1.b.-.s.2", b"")])
    assert await broker.subjects("MQ_default", ">") == {}


async def test_more_than_one_page(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 5)
    for i in range(12):
        await broker.put(Message(f"b.default.{i}", str(i).encode()))
    await broker.remove("BODY", 6)
    walked = [(stored.sequence, stored.body) async for stored in listing.walk(broker, "BODY", "b.>")]
    assert walked == [(i + 1, str(i).encode()) for i in range(12) if i != 5]
    assert [stored async for stored in listing.walk(broker, "BODY", "b.other.>")] == []
    assert not broker._pages


async def test_a_page_stops_at_its_bytes(broker: Broker) -> None:
    for i in range(4):
        await broker.put(Message(f"b.default.{i}", bytes(1000)))
    page = await broker.page("BODY", {"seq": 1, "batch": 10, "max_bytes": 2500, "next_by_subj": "b.>"})
    assert 1 <= len(page) < 4


@pytest.mark.parametrize("gone", [1, 2, 3, 4])
async def test_a_message_that_is_gone_already_counts_as_removed(broker: Broker, gone: int) -> None:
    for i in range(3):
        await broker.put(Message(f"b.default.{i}", b""))
    await broker.remove("BODY", gone)
    await broker.remove("BODY", gone)
    assert len(await broker.subjects("BODY", ">")) == (2 if gone <= 3 else 3)


async def test_what_is_not_there(broker: Broker) -> None:
    assert await broker.last("BODY", "b.default.x") is None
    assert await broker.at("BODY", 1) is None
    await broker.remove("BODY", 1)
    assert await broker.purge("BODY", "b.default.x") == 0
    assert await broker.subjects("BODY", ">") == {}
