"""ClickHouse is gone for long: mail goes in and out until EVENTS is half full, and all is recorded once it is back.

``FAULT_EVENTS=200MB`` is a larger store, of which events may use a fifth.
"""

import asyncio
import os
from pathlib import Path

import pytest
from clickhouse_support import ClickHouse
from fault_support import all_arrive, all_told_once, arrived, make_mails, said, taken
from scenario_support import broker

from common.units import parse_size
from master.demo.generator import send_all
from master.demo.world import World

WAVE = 50
STORE = os.environ.get("FAULT_EVENTS", "4MB")


@pytest.mark.timeout(600)
async def test_clickhouse_gone(tmp_path: Path) -> None:
    clickhouse = ClickHouse(tmp_path / "clickhouse")
    clickhouse.start()
    settings = {"nats": {"max_store": STORE}, "clickhouse": {"url": clickhouse.database_url("postjet")}}
    try:
        async with World(tmp_path / "world", sinks=1, settings=settings) as world, broker(world) as connection:
            world.add_domain("a.test", *world.sinks)
            mails = make_mails(parse_size(STORE) // 2000, "a.test", 300)
            half = len(mails) * 2 // 3
            clickhouse.kill()
            codes, good = set[int](), set[str]()
            for begin in range(0, half, WAVE):
                wave = mails[begin : min(begin + WAVE, half)]
                outcomes = await send_all(wave, "127.0.0.1", world.smtp_port, 10)
                codes |= {outcome.code for outcome in outcomes}
                good |= taken(wave, outcomes)
                await all_arrive(world, good)  # though nothing of it is recorded
            assert codes == {250, 452}
            state = (await connection.api("STREAM.INFO.EVENTS"))["state"]
            print(f"{len(good)} of {half} taken, {state['bytes']} bytes of events wait")
            second = asyncio.create_task(
                send_all(mails[half:], "127.0.0.1", world.smtp_port, 10, retry=True, deadline=120)
            )
            clickhouse.start()
            assert {outcome.code for outcome in await second} == {250}
            good |= taken(mails[half:], await second)
            await all_arrive(world, good)
            await all_told_once(world, connection, len(good))
            assert set(arrived(world).values()) == {1}
        stopped = said(world, "of events wait for ClickHouse, half of what may; new mail is answered 452")
        assert 1 <= stopped == said(world, "queue: room again") < 5
        assert said(world, "outcomes cannot be stored") == 0
    finally:
        clickhouse.kill()
