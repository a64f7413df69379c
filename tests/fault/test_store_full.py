"""The store is at its limit: intake answers 452 from 80 % of it, all that is inside gets out, intake resumes by itself.

``FAULT_STORE=200MB`` makes it larger.
"""

import asyncio
import os
from pathlib import Path

import pytest
from fault_support import all_arrive, all_told_once, arrived, make_mails, said, taken
from scenario_support import broker
from support import until

from common.broker import Broker
from common.units import format_size, parse_size
from master.demo.generator import send_all
from master.demo.sink_script import Rule
from master.demo.world import World

STORE = os.environ.get("FAULT_STORE", "10MB")
SIZE = 20_000
SETTINGS = {"nats": {"max_store": STORE}, "delivery": {"retry_max": "1s"}}


@pytest.mark.timeout(600)
async def test_store_full(tmp_path: Path) -> None:
    limit = parse_size(STORE)
    async with World(tmp_path, sinks=1, settings=SETTINGS) as world, broker(world) as connection:
        [sink] = world.sinks
        world.add_domain("a.test", sink)
        # all of it is deferred at first: schedules, and content that moves to BODY, are written before room is made
        later = Rule(phase="rcpt", reply="450 4.2.0 Later")
        sink.rules.append(later)
        mails = make_mails(2 * limit // SIZE, "a.test", SIZE)
        most = _Most(connection)
        watching = asyncio.create_task(most.watch())
        half = len(mails) * 2 // 3
        first = await send_all(mails[:half], "127.0.0.1", world.smtp_port, 20)
        assert {outcome.code for outcome in first} == {250, 452}
        good = taken(mails, first)
        assert most.used > 0.7 * limit
        tried = later.used
        # fires, is tried and deferred again, all of it; a busy machine does some 100 in a second
        await until(lambda: later.used > tried + len(good), 60 + len(good) / 50)
        second = asyncio.create_task(
            send_all(mails[half:], "127.0.0.1", world.smtp_port, 20, retry=True, deadline=120)
        )
        sink.rules.clear()
        assert {outcome.code for outcome in await second} == {250}
        good |= taken(mails[half:], await second)
        await all_arrive(world, good, 120)
        assert set(arrived(world).values()) == {1}
        await all_told_once(world, connection, len(good))
        watching.cancel()
    print(f"{len(first)} sent, {len(good) - len(mails) + half} taken; at most {most.used} of {limit} bytes used")
    assert most.used < 0.95 * limit
    stopped = said(world, f"of {format_size(limit)} used (nats.max_store); new mail is answered 452")
    assert 1 <= stopped == said(world, "queue: room again") < 5
    assert said(world, "NOQUEUE: reject: MAIL from ") > 0
    assert said(world, "outcomes cannot be stored") == 0


class _Most:
    """Watches how much the store holds."""

    def __init__(self, connection: Broker) -> None:
        self.connection, self.used = connection, 0

    async def watch(self) -> None:
        while True:
            self.used = max(self.used, (await self.connection.api("INFO"))["storage"])
            await asyncio.sleep(0.05)
