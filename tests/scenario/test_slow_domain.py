"""One slow domain holds nobody up: what is queued for it lies in front of mail to others, which goes all the same.

``SLOW_MAILS`` says how many; ``make slow`` takes 100,000 and prints figures.
"""

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from scenario_support import SENDER, ids, mx

from master.demo.generator import Mail, make_message, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

SLOW = int(os.environ.get("SLOW_MAILS", "10000"))
OTHERS, DOMAINS = SLOW // 10, 200
#: Connections of the slow domain's sink, and the seconds that a mail takes on each: 50 mails a second.
CONNECTIONS, SECONDS = 20, 0.4


def mails(count: int, domains: list[str]) -> Iterable[Mail]:
    for i in range(count):
        recipient = f"r{i}@{domains[i % len(domains)]}"
        yield SENDER, [recipient], make_message(1000, sender=SENDER, recipient=recipient)


async def send_to(world: World, count: int, domains: list[str]) -> None:
    ids(await send_all(mails(count, domains), "127.0.0.1", world.smtp_port, 20, timeout=600))


@pytest.mark.timeout(1200)
async def test_slow_domain(tmp_path: Path) -> None:
    domains = [f"d{i}.test" for i in range(DOMAINS)]
    async with World(tmp_path) as world, mx(world, "127.0.1.1", "slow.test") as slow:
        slow.rules.append(Rule(phase="dot", wait=SECONDS))
        for i, domain in enumerate(domains):
            world.add_domain(domain, world.sinks[i % len(world.sinks)])

        async def others(before: int) -> float:
            """Seconds from the first of them to the last delivered."""
            started = time.monotonic()
            await send_to(world, OTHERS, domains)
            while sum(sink.mails for sink in world.sinks) < before + OTHERS:
                await asyncio.sleep(0.01)
            return time.monotonic() - started

        alone = await others(0)
        await send_to(world, SLOW, ["slow.test"])
        taken, started = slow.mails, time.monotonic()
        beside = await others(OTHERS)
        rate = (slow.mails - taken) / (time.monotonic() - started)
        print(f"\nothers alone {alone:.2f} s, behind {SLOW} slow ones {beside:.2f} s; the slow one {rate:.1f}/s")
        print(world.log_file.read_text()[-500:])
        assert slow.mails < SLOW // 2
        assert slow.max_open == CONNECTIONS
