"""The store is at its limit: intake answers 452 from 80 % of it, all that is inside gets out, intake resumes by itself.

``FAULT_STORE=200MB`` makes it larger.
"""

import asyncio
import os
from pathlib import Path

import pytest
from fault_support import all_arrive, all_told_once, arrived, make_mails, said, saying, taken
from scenario_support import broker
from support import until

from common.broker import Broker
from common.units import format_size, parse_size
from master.demo.generator import send_all
from master.demo.sink_script import Rule
from master.demo.world import World

STORE = os.environ.get("FAULT_STORE", "10MB")
SIZE = 20_000


@pytest.mark.timeout(600)
async def test_store_full(tmp_path: Path) -> None:
    limit = parse_size(STORE)
    async with World(tmp_path, sinks=1, settings={"nats": {"max_store": STORE}}) as world, broker(world) as connection:
        [sink] = world.sinks
        world.add_domain("a.test", sink)
        # all of it is deferred: its schedule, and the content that moves, need room that is not there
        later = Rule(phase="rcpt", reply="450 4.2.0 Later")
        sink.rules.append(later)
        mails = make_mails(2 * limit // SIZE, "a.test", SIZE)
        most = Most(connection)
        watching = asyncio.create_task(most.watch())
        first = await send_all(mails[: len(mails) * 2 // 3], "127.0.0.1", world.smtp_port, 20)
        good = taken(mails, first)
        assert {outcome.code for outcome in first} == {250, 452}
        assert 0.75 * limit < most.used < 0.95 * limit
        print(f"{len(good)} taken, {most.used} of {limit} used")
        used = later.used
        await until(lambda: later.used > used + len(good), 60)  # it goes round and round
        sending = asyncio.create_task(
            send_all(mails[len(first) :], "127.0.0.1", world.smtp_port, 20, retry=True, deadline=120)
        )
        sink.rules.clear()
        second = await sending
        assert {outcome.code for outcome in second} == {250}
        good |= {*taken(mails[len(first) :], second)}
        await all_arrive(world, good, 120)
        assert set(arrived(world).values()) == {1}
        await all_told_once(world, connection, len(good))
        watching.cancel()
        print(f"at most {most.used} of {limit} used")
    print(world.log_file.read_text()[-3000:])
    assert said(world, f"of {format_size(limit)} used (nats.max_store); new mail is answered 452") == said(world, "queue: room again")


class Most:
    """Watches how much the store holds."""

    def __init__(self, connection: Broker) -> None:
        self.connection, self.used = connection, 0

    async def watch(self) -> None:
        while True:
            self.used = max(self.used, (await self.connection.api("INFO"))["storage"])
            await asyncio.sleep(0.05)
