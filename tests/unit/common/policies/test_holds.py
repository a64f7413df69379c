"""Holds in force stay so, whatever is read meanwhile."""

import asyncio
import time

import pytest

from common.broker import Broker, BrokerFailure
from common.policies import holds as module
from common.policies.holds import Hold, Holds, lift


def hold() -> Hold:
    now = time.time()
    return Hold("site:mx", "suspend", now, now + 600, "rule", "here", "421")


async def test_a_look_that_began_before_it_was_placed(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    holds, read, has_read, go_on = Holds(), module.stored, asyncio.Event(), asyncio.Event()

    async def slow(of: Broker) -> list[Hold]:
        found = await read(of)
        has_read.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(module, "stored", slow)
    look = asyncio.create_task(holds.look(broker))
    await has_read.wait()
    await holds.place(broker, hold())
    go_on.set()
    await look
    assert holds.of(["site:mx"])
    await holds.look(broker)  # which sees it
    assert await lift(broker, "site:mx") == 1
    await holds.look(broker)
    assert not holds.of(["site:mx"])


async def test_one_that_could_not_be_stored(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    holds = Holds()

    async def full(_message: object) -> int:
        raise BrokerFailure("insufficient resources")

    with monkeypatch.context() as patch:
        patch.setattr(broker, "put", full)
        with pytest.raises(BrokerFailure):
            await holds.place(broker, hold())
    await holds.look(broker)
    assert holds.of(["site:mx"])
