"""Holds in force stay so, whatever is read meanwhile."""

import asyncio
import time

import pytest
from support import until

from common.broker import Broker, BrokerFailure
from common.policies import holds as module
from common.policies.holds import Hold, Holds, lift
from common.queue import leases


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


@pytest.mark.parametrize("dead", [False, True])
async def test_who_lifts_is_back_when_the_workers_that_live_know(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, dead: bool
) -> None:
    monkeypatch.setattr(module, "EVERY", 600.0)
    monkeypatch.setattr(module, "PATIENCE", 0.3 if dead else 60.0)
    workers = [Holds(), Holds()]
    tasks = [asyncio.create_task(holds.keep(broker)) for holds in workers]
    for number in range(2 + dead):
        await leases.renew(broker, f"worker.default.w{number}", "1")
    await workers[0].place(broker, hold())
    await until(lambda: all(holds.of(["site:mx"]) for holds in workers))
    assert await lift(broker, "site:mx") == 1
    assert not any(holds.of(["site:mx"]) for holds in workers)
    for task in tasks:
        task.cancel()


async def test_what_is_lifted_while_nobody_works(broker: Broker) -> None:
    await leases.renew(broker, "worker.default.w0", "1")  # it has just died
    await Holds().place(broker, hold())
    assert await lift(broker, "site:mx") == 1
    assert await lift(broker, "site:mx") == 0
