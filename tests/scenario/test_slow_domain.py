"""One slow domain holds nobody up: what is queued for it lies in front of mail to others, which goes all the same.

``SLOW_MAILS`` says how many; ``make slow`` takes 100,000 and prints figures.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from campaign import processes
from scenario_support import SENDER, broker, ids, mx

from bench import flushes
from common.subjects import queue_stream
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


async def stored(world: World) -> int:
    """Messages that were ever stored in the queue: one for each mail, and one for each time it was written again."""
    async with broker(world) as connection:
        return int((await connection.api(f"STREAM.INFO.{queue_stream('default')}"))["state"]["last_seq"])


@contextlib.asynccontextmanager
async def measured(world: World, mails: int) -> AsyncIterator[None]:
    """Print what the mails sent inside cost: memory of the worker, writes to the queue, flushes of the disk."""
    [worker] = processes.pids(world, "worker")
    sizes, before = list[float](), await stored(world)

    async def sample() -> None:
        while True:
            pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            await asyncio.sleep(0.5)

    sampling, synced = asyncio.create_task(sample()), "not counted: no perf"
    try:
        if flushes.can_count(world.folder):
            async with flushes.counted(world.folder) as found:
                yield
            synced = f"{sum(found.values()) / mails:.2f}"
        else:
            yield
    finally:
        sampling.cancel()
    writes = await stored(world) - before
    print(f"\nworker: {sizes[0]:.0f} MB at first, {max(sizes):.0f} MB at most, {sizes[-1]:.0f} MB at the end")
    print(f"rewrites of the queue for each mail {writes / mails - 1:.3f}, flushes of the disk {synced}")


@pytest.mark.timeout(1200)
async def test_slow_domain(tmp_path: Path) -> None:
    domains = [f"d{i}.test" for i in range(DOMAINS)]
    async with World(tmp_path) as world, mx(world, "127.0.1.1", "slow.test") as slow:
        slow.rules.append(Rule(phase="dot", wait=SECONDS))
        for i, domain in enumerate(domains):
            world.add_domain(domain, world.sinks[i % len(world.sinks)])

        async def others() -> float:
            """Seconds from the first of them to the last delivered."""
            before, started = sum(sink.mails for sink in world.sinks), time.monotonic()
            await send_to(world, OTHERS, domains)
            while sum(sink.mails for sink in world.sinks) < before + OTHERS:
                await asyncio.sleep(0.01)
            return time.monotonic() - started

        await others()
        alone = await others()  # names are known by now
        async with measured(world, SLOW + OTHERS):
            await send_to(world, SLOW, ["slow.test"])
            taken, started = slow.mails, time.monotonic()
            beside = await others()
        rate = (slow.mails - taken) / (time.monotonic() - started)
        print(f"\nothers alone {alone:.2f} s, behind {SLOW} slow ones {beside:.2f} s; the slow one {rate:.1f}/s")
        print(world.log_file.read_text()[-500:])
        assert slow.mails < SLOW // 2
        assert slow.max_open == CONNECTIONS
