"""A backlog for a domain that is held to a rate: never over it and never idle, while mail behind it goes at once."""

import asyncio
import time
from pathlib import Path

import pytest
from fault_support import saying
from limits_support import arrived, host, longest_gap, most_within
from scenario_support import send
from support import until

from common.subjects import bucket
from master.demo.world import World

CONNECTIONS, RATE = 5, 50
MAILS, OTHERS = 800, 100


@pytest.mark.timeout(120)
async def test_slow_rate(tmp_path: Path) -> None:
    rule = {"domain": "slow.test", "connections": CONNECTIONS, "rate": f"{RATE}/s"}
    world = World(tmp_path, sinks=1, settings={"policies": [rule]})
    async with world, host(world, "127.0.1.1", "mx.slow", "slow.test") as slow:
        world.add_domain("other.test")
        await send(world, "r@slow.test", mails=MAILS, sessions=20)
        await until(saying(world, f"much waits in bucket {bucket('slow.test')}"))
        await arrived(slow, 1, 20)
        started = time.monotonic()
        await send(world, "r@other.test", mails=OTHERS, sessions=20)
        await world.sinks[0].wait_for(OTHERS, 30)
        beside = time.monotonic() - started
        assert len(slow.mails) < MAILS
        await asyncio.sleep(3)
        ended = time.monotonic()
        times = [when for when in slow.mails if started <= when <= ended]
    print(
        f"\nothers {beside:.2f} s; the slow domain {len(times) / (ended - started):.1f}/s, most in a second "
        f"{most_within(times, 1.0)}, longest gap {longest_gap(times):.2f} s, most open {slow.max_open}"
    )
    assert most_within(slow.mails, 1.0) <= RATE
    assert slow.max_open <= CONNECTIONS
    assert longest_gap([started, *times, ended]) < 1.5  # seconds; it is out of its lane, and has tokens every 20 ms
