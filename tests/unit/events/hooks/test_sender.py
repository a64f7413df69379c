"""Messages to a receiver that refuses, hangs, resets, is slow or gone: each arrives, and nobody waits for another."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hooks_support import Got, Receiver, endpoint, receiving
from queue_support import connected
from support import Nats, until

from common.broker import Broker, BrokerFailure
from common.event import unpack
from common.queue import listing
from common.webhook import Webhook
from events.hooks import queue, retry, sender, state
from events.hooks.client import Client
from events.hooks.queue import Hook
from events.hooks.retry import Breaker
from events.hooks.sender import Sender
from events.hooks.state import States
from master.sockets import free_port


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries that would come after minutes come at once."""
    monkeypatch.setattr(retry, "DELAYS", (0.1,))
    monkeypatch.setattr(retry, "LATER", 0.1)
    monkeypatch.setattr(Breaker, "FIRST", 0.1)
    monkeypatch.setattr(state, "EVERY", 0.05)
    monkeypatch.setattr(sender, "RETRY", 0.1)


def hooks(count: int, name: str = "crm", **changes: Any) -> list[Hook]:
    values: dict[str, Any] = {"since": time.time()} | changes
    return [Hook(endpoint=name, id=f"{name}{n}", body=b"{}", **values) for n in range(count)]


async def put(broker: Broker, *some: Hook) -> list[str]:
    await queue.store(broker, [hook.ready() for hook in some])
    return [hook.id for hook in some]


@asynccontextmanager
async def sending(broker: Broker, *endpoints: Webhook) -> AsyncIterator[States]:
    stopping, states = asyncio.Event(), States(broker)
    await states.look()
    watching = asyncio.create_task(states.watch())
    clients = [Client(one, []) for one in endpoints]
    tasks = [asyncio.create_task(Sender(broker, client, states, stopping).run()) for client in clients]
    try:
        yield states
    finally:
        stopping.set()
        await asyncio.gather(*tasks)
        watching.cancel()
        for client in clients:
            await client.__aexit__()


async def nothing_waits(broker: Broker) -> bool:
    with contextlib.suppress(BrokerFailure):  # of a broker that was killed
        return await queue.waiting(broker, "*") == 0
    return False


def once(answer: str) -> Callable[[int, Got], str]:
    """Each message gets this at first."""
    seen: set[str] = set()

    def answers(_number: int, got: Got) -> str:
        if got.id in seen:
            return "200"
        seen.add(got.id)
        return answer

    return answers


@pytest.mark.parametrize("answer", ["500", "404", "302\nLocation: /", "hang", "reset", "503\nRetry-After: 1"])
async def test_what_fails_is_tried_again(broker: Broker, answer: str) -> None:
    ids = await put(broker, *hooks(4))
    async with receiving(once(answer)) as receiver, sending(broker, endpoint(receiver.url, timeout="300ms")):
        await until(lambda: nothing_waits(broker))
    assert sorted(receiver.ids) == ids
    assert len(receiver.got) == 8
    for got in receiver.got:
        got.verify()


async def test_an_endpoint_that_is_away_for_a_while(broker: Broker) -> None:
    ids = await put(broker, *hooks(20))
    receiver = Receiver()
    receiver.port = free_port()
    async with sending(broker, endpoint(receiver.url)):
        await until(lambda: _fails(broker))
        await receiver.start()
        await until(lambda: nothing_waits(broker))
        await until(lambda: _is_well(broker))
    assert sorted(receiver.ids) == sorted(ids)
    await receiver.stop()


async def _fails(broker: Broker) -> bool:
    return (await state.read_all(broker)).get("crm", state.NEW).failing > 0


async def _is_well(broker: Broker) -> bool:
    return not await _fails(broker)


async def test_what_waits_for_a_dead_one_is_not_touched(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are tried, then it is left alone: the rest stays as it was stored."""
    monkeypatch.setattr(Breaker, "FIRST", 60.0)
    await put(broker, *hooks(50))
    async with sending(broker, endpoint(f"http://127.0.0.1:{free_port()}/")):
        await until(lambda: _fails(broker))
        tried = [one async for one in listing.walk(broker, "HOOKS", "w.>") if one.headers.get("Postjet-Tries")]
    assert len(tried) <= Breaker.FAILURES + 4
    assert await queue.waiting(broker, "crm") == 50


async def test_no_more_at_a_time_than_it_takes(nats: Nats, broker: Broker) -> None:
    """Of all processes together."""
    ids = await put(broker, *hooks(40))
    async with receiving() as receiver, connected(nats) as other:
        receiver.delay = 0.02
        to = endpoint(receiver.url, parallel=3)
        async with sending(broker, to), sending(other, to):
            await until(lambda: nothing_waits(broker))
    assert receiver.most_busy == 3
    assert sorted(receiver.ids) == sorted(ids)


async def test_a_dead_one_delays_no_other(broker: Broker) -> None:
    """One hangs, one refuses, and there is much for both; the live one has all while they have had next to nothing."""
    async with receiving(lambda _n, _got: "hang") as hanging, receiving() as live:
        dead = endpoint(f"http://127.0.0.1:{free_port()}/", name="dead")
        for name in ("hanging", "dead"):
            await put(broker, *hooks(500, name))
        ids = await put(broker, *hooks(300, "live"))
        async with sending(
            broker, endpoint(hanging.url, name="hanging", timeout="1s"), dead, endpoint(live.url, name="live")
        ):
            await until(lambda: len(live.ids) == 300)
    assert sorted(live.ids) == sorted(ids)
    assert len(hanging.got) <= 20


async def test_one_that_is_killed_in_between(
    nats: Nats, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process had in hand is handed out again."""
    monkeypatch.setattr(sender, "GRACE", 0.2)
    ids = await put(broker, *hooks(30))
    async with receiving() as receiver, connected(nats) as other:
        receiver.delay = 0.05
        to = endpoint(receiver.url, timeout="500ms")
        dying = Client(to, [])
        states = States(other)
        task = asyncio.create_task(Sender(other, dying, states, asyncio.Event()).run())
        await until(lambda: len(receiver.got) >= 8)
        task.cancel()
        await dying.__aexit__()
        async with sending(broker, to):
            await until(lambda: nothing_waits(broker))
    assert set(receiver.ids) == set(ids)
    assert len(receiver.ids) <= len(ids) + 4


async def test_the_broker_is_killed_in_between(nats: Nats, broker: Broker) -> None:
    ids = await put(broker, *hooks(60))
    async with receiving() as receiver, sending(broker, endpoint(receiver.url)):
        receiver.delay = 0.02
        await until(lambda: len(receiver.got) >= 10)
        nats.kill()
        nats.start()
        await until(lambda: nothing_waits(broker))
    assert set(receiver.ids) == set(ids)


async def test_requests_that_fail_together_are_told_of_once(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(sender.log, "warning", lambda text, *_: told.append(text), raising=False)
    await put(broker, *hooks(20))
    async with receiving(lambda n, _got: "500" if n < 12 else "200") as receiver:
        receiver.delay = 0.05  # all ten are under way
        async with sending(broker, endpoint(receiver.url, parallel=10)):
            await until(lambda: nothing_waits(broker))
    assert len([text for text in told if "again and again" in text]) == 1


async def test_gone_disables_it_at_once(broker: Broker) -> None:
    await put(broker, *hooks(20))
    async with receiving(lambda _n, _got: "410") as receiver, sending(broker, endpoint(receiver.url, parallel=1)):
        await until(lambda: _is_disabled(broker))
        assert len(receiver.got) == 1
        assert await state.enable(broker, "crm", "a test")
        await until(lambda: len(receiver.got) == 2)
    assert await queue.waiting(broker, "crm") == 20
    assert "webhook crm is disabled: it answered 410 Gone; once it is mended: postjet webhook enable crm" in [
        row["text"] async for one in listing.walk(broker, "EVENTS", "e.>") for row in unpack(one.body)
    ]


async def _is_disabled(broker: Broker) -> bool:
    return (await state.read_all(broker)).get("crm", state.NEW).disabled > 0


async def test_disabled_after_long_failure(broker: Broker) -> None:
    await put(broker, *hooks(20))
    dead = endpoint(f"http://127.0.0.1:{free_port()}/", disable_after="1s")
    async with sending(broker, dead):
        await until(lambda: _is_disabled(broker))
    known = (await state.read_all(broker))["crm"]
    assert known.reason == "it failed for longer than disable_after, last: Connection refused"
    assert known.disabled - known.failing >= 1
    assert await queue.waiting(broker, "crm") == 20


async def test_disabled_is_not_sent_to(broker: Broker) -> None:
    await state.disable(broker, "crm", "by a test")
    await put(broker, *hooks(3))
    await put(broker, *hooks(3, "other"))
    async with receiving() as receiver, sending(
        broker, endpoint(receiver.url), endpoint(receiver.url, name="other")
    ):
        await until(lambda: len(receiver.ids) == 3)
    assert sorted(receiver.ids) == ["other0", "other1", "other2"]


async def test_what_was_asked_for_before_it_was_disabled_goes_back(broker: Broker) -> None:
    first, second = hooks(2)
    async with receiving() as receiver, sending(broker, endpoint(receiver.url, parallel=1)) as states:
        await put(broker, first)
        await until(lambda: nothing_waits(broker))
        await until(lambda: _asks(broker))
        await state.disable(broker, "crm", "by a test")
        await until(lambda: states.get("crm").disabled)
        await put(broker, second)
        await until(lambda: _gave_back(broker))
        assert receiver.ids == [first.id]
        await state.enable(broker, "crm", "a test")
        await until(lambda: nothing_waits(broker))
    assert receiver.ids == [first.id, second.id]


async def _asks(broker: Broker) -> bool:
    return bool((await broker.api("CONSUMER.INFO.HOOKS.hook-crm"))["num_waiting"] == 1)


async def _gave_back(broker: Broker) -> bool:
    """It was handed out, and is nobody's any more."""
    info = await broker.api("CONSUMER.INFO.HOOKS.hook-crm")
    return bool(info["delivered"]["consumer_seq"] >= 2 and info["num_waiting"] == 0)


async def test_too_old_is_given_up(broker: Broker) -> None:
    await put(broker, *hooks(2, since=time.time() - 100))
    await put(broker, *hooks(1, "new"))
    async with receiving(lambda _n, _got: "500") as receiver, sending(
        broker, endpoint(receiver.url, expire="90s"), endpoint(receiver.url, name="new", expire="1s")
    ):
        await until(lambda: nothing_waits(broker))
    assert {got.id for got in receiver.got} == {"new0"}
    assert 2 <= len(receiver.got) <= 12


async def test_what_was_taken_is_not_tried_again_though_it_was_scheduled(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had it before scheduled another try, and died before it was acked."""
    monkeypatch.setattr(sender, "GRACE", 0.2)
    [hook] = hooks(1)
    await put(broker, hook)
    consumer = {"stream_name": "HOOKS", "config": {
        "name": "hook-crm", "durable_name": "hook-crm", "filter_subjects": ["w.q.crm.>"], "ack_policy": "explicit",
        "deliver_policy": "all", "ack_wait": 10**9, "max_ack_pending": 4, "max_deliver": -1, "mem_storage": True,
        "num_replicas": 1,
    }}  # fmt: skip
    await broker.api("CONSUMER.CREATE.HOOKS.hook-crm", consumer)
    handed, inbox = asyncio.Event(), broker.new_inbox()

    async def take(_: Any) -> None:
        handed.set()

    await broker.subscribe(inbox, take)
    await broker.publish("$JS.API.CONSUMER.MSG.NEXT.HOOKS.hook-crm", b'{"batch":1}', reply=inbox)
    await handed.wait()
    await broker.put(hook.later(time.time() + 3600))
    async with receiving() as receiver, sending(broker, endpoint(receiver.url, timeout="800ms")):
        await until(lambda: nothing_waits(broker))
    assert receiver.ids == [hook.id]


async def test_stopping_ends_what_has_begun(broker: Broker) -> None:
    await put(broker, *hooks(4))
    async with receiving() as receiver:
        receiver.delay = 0.3
        async with sending(broker, endpoint(receiver.url)):
            await until(lambda: len(receiver.got) == 4)
        await until(lambda: nothing_waits(broker))
    assert len(receiver.ids) == 4
