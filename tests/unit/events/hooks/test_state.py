"""How endpoints do, as all processes know it."""

import asyncio
import time

from hooks_support import endpoint
from queue_support import rows
from support import until

from common.broker import Broker
from events.hooks import queue, state
from events.hooks.queue import Hook
from events.hooks.state import NEW, State, States


async def test_of_many_who_disable_it_one_tells(broker: Broker) -> None:
    done = await asyncio.gather(*(state.disable(broker, "crm", f"by {n}") for n in range(5)))
    assert sorted(done) == [False] * 4 + [True]
    assert await rows(broker) == ["admin"]
    assert await state.enable(broker, "crm", "me")
    assert not await state.enable(broker, "crm", "me")
    assert await rows(broker) == ["admin"] * 2
    assert await state.read_all(broker) == {"crm": NEW}


async def test_a_change_that_makes_no_difference_is_none(broker: Broker) -> None:
    assert await state.change(broker, "crm", failing=5.0)
    assert not await state.change(broker, "crm", failing=5.0)
    assert not await state.change(broker, "crm", lambda known: not known.failing, failing=7.0)
    assert await state.read_all(broker) == {"crm": State(failing=5.0)}


async def test_a_change_is_known_soon(broker: Broker) -> None:
    states = States(broker)
    await states.look()
    assert states.get("crm") == NEW
    watching = asyncio.create_task(states.watch())
    await state.disable(broker, "crm", "why")
    await until(lambda: states.get("crm").reason == "why")
    watching.cancel()


async def test_what_is_not_in_the_configuration_any_more_is_forgotten(broker: Broker) -> None:
    await state.only(broker, ["crm", "old"])
    some = [Hook(endpoint=name, id=name, body=b"{}", since=1.0) for name in ("crm", "old")]
    await queue.store(broker, [hook.ready() for hook in some])
    await broker.put(some[1].later(4e9))
    await state.only(broker, [endpoint().name])
    assert await state.read_all(broker) == {"crm": NEW}
    assert [await queue.waiting(broker, name) for name in ("crm", "old")] == [1, 0]


async def test_what_waits_for_a_disabled_endpoint_does_not_wait_for_ever(broker: Broker) -> None:
    endpoints = [endpoint(name="crm", expire="1h"), endpoint(name="new", expire="1h"), endpoint(name="on", expire="1h")]
    some = [Hook(endpoint=one.name, id="1", body=b"{}", since=1.0) for one in endpoints]
    await queue.store(broker, [hook.ready() for hook in some])
    await broker.put(some[0].later(4e9))
    await state.disable(broker, "crm", "why")
    await state.change(broker, "crm", disabled=time.time() - 3700)
    await state.disable(broker, "new", "why")
    await state.expire(broker, endpoints)
    assert [await queue.waiting(broker, one.name) for one in endpoints] == [0, 1, 1]
