"""The broker hangs, then is gone: every client is answered in time, what was under way is recorded afterwards.

``FAULT_GONE=60`` makes both last so many seconds.
"""

import asyncio
import os
from pathlib import Path

import pytest
from fault_support import all_arrive, all_told_once, arrived, make_mails, said, saying, taken
from scenario_support import broker
from support import PASSWORD, Nats, until

from common.broker import Broker
from master import nats_server
from master.demo.generator import Outcome, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

GONE = float(os.environ.get("FAULT_GONE", "1"))
#: Seconds that an answer may take on a busy machine beyond what is promised.
BUSY = 10


@pytest.mark.timeout(180 + 2 * GONE)
async def test_broker_gone(nats: Nats, tmp_path: Path) -> None:
    settings = {"nats": {"url": f"nats://{nats_server.USER}:{PASSWORD}@127.0.0.1:{nats.port}"}}
    async with World(tmp_path / "world", sinks=1, settings=settings) as world:
        [sink] = world.sinks
        world.add_domain("a.test", sink)
        answer = asyncio.Event()
        sink.rules.append(Rule(phase="taken", wait=answer, times=5))
        mails = make_mails(60, "a.test")
        good = set[str]()

        async def send(first: int, last: int) -> list[Outcome]:
            outcomes = await send_all(mails[first:last], "127.0.0.1", world.smtp_port, 20, timeout=90)
            good.update(taken(mails[first:last], outcomes))
            return outcomes

        await send(0, 5)
        await sink.wait_for(5, 30)  # at a broker that is not ours who came before may have slots, for a lease of 10 s
        nats.freeze()
        hung = asyncio.create_task(send(5, 25))
        answer.set()
        await asyncio.sleep(GONE)
        nats.kill()
        await until(saying(world, "broker: connection to nats://***@127.0.0.1"))
        await until(saying(world, "outcomes cannot be stored yet: "))
        gone = await send(25, 45)
        assert {outcome.code for outcome in gone} == {451}
        assert {outcome.text for outcome in gone} == {"4.3.0 Queue not available, try again later"}
        assert max(outcome.seconds for outcome in gone) < Broker.known + BUSY
        await asyncio.sleep(GONE - 1)
        nats.start()
        unsure = await hung
        assert {outcome.code for outcome in unsure} <= {250, 451}
        assert max(outcome.seconds for outcome in unsure) < Broker.unknown + BUSY
        assert {outcome.code for outcome in await send(45, 60)} == {250}
        await all_arrive(world, good)
        async with broker(world) as connection:
            await all_told_once(world, connection, len(good))
        # the worker lived on: it knows again what it had begun, and what it could not write down
        assert set(arrived(world).values()) == {1}
    assert said(world, "outcomes cannot be stored yet") == 1
