"""Workers leave, come, and stand still for longer than their lease: nobody gets more than the limits allow.

But for one thing (docs/decisions/003): who stands still has connections open that nobody counts any more, and that
nobody else can close. When it goes on it begins nothing more with them.
Takes half a minute, so only ``make limits`` runs it.
"""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from limits_support import (
    arrived,
    domains_in_all_lanes,
    host,
    longest_gap,
    max_sum,
    most_within,
    owner_pid,
    worker_pids,
)
from scenario_support import SENDER, ids
from support import until

from master.demo.generator import make_message, send_all
from master.demo.world import World

MAILS, CONNECTIONS, RATE = 600, 5, 20
#: Seconds in which who goes on has closed what it may not use any more.
SOON = 1.0


@pytest.mark.skipif("LIMITS_SLOW" not in os.environ, reason="make limits")
async def test_limits_workers_change(tmp_path: Path) -> None:
    domains = domains_in_all_lanes("slow")
    rule = {"provider": "slow", "connections": CONNECTIONS, "rate": f"{RATE}/s"}
    settings = {
        "pools.default": {"workers": 4}, "providers": [{"name": "slow", "mx": "mx.slow"}], "policies": [rule],
    }  # fmt: skip
    world = World(tmp_path, sinks=1, settings=settings)
    async with world, host(world, "127.0.1.1", "mx.slow", *domains, wait=0.05) as limited:
        mails = [(SENDER, [f"r@{domains[i % 4]}"], make_message(1000, sender=SENDER)) for i in range(MAILS)]
        ids(await send_all(mails, "127.0.0.1", world.smtp_port, 4))
        await arrived(limited, 20, 60)
        before = worker_pids(world)
        leaving = next(pid for pid in before if pid != owner_pid(world, "provider:slow"))
        os.kill(leaving, signal.SIGTERM)
        await until(lambda: len(set(worker_pids(world)) - set(before)) == 1, 60)  # one has left, another come
        await arrived(limited, len(limited.mails) + 2 * RATE, 60)

        owner = owner_pid(world, "provider:slow")
        stopped = time.monotonic()
        os.kill(owner, signal.SIGSTOP)
        try:
            await arrived(limited, len([t for t in limited.mails if t < stopped + 1]) + 2 * RATE, 60)
        finally:
            goes_on = time.monotonic()
            os.kill(owner, signal.SIGCONT)
        await arrived(limited, MAILS, 120)
        await asyncio.sleep(0.1)  # one too many would come with the last ones
    times, changes = limited.mails, limited.open_changes
    counted = [max_sum(changes[: sum(at < end for at, _ in changes)]) for end in (stopped, goes_on, float("inf"))]
    soon = [change for change in changes if change[0] >= goes_on + SOON]
    after = max(0, max_sum(soon)) + sum(by for at, by in changes if at < goes_on + SOON)
    print(
        f"\n{len(times)} of {MAILS} mails, most in a second {most_within(times, 1.0)}, longest pause "
        f"{longest_gap(times):.1f} s; most open before one stood still {counted[0]}, meanwhile {counted[1]}, "
        f"in all {counted[2]}, from {SOON:g} s after that on {after}; it stood still for {goes_on - stopped:.1f} s"
    )
    assert goes_on - stopped > 10
    assert most_within(times, 1.0) <= RATE
    assert counted[0] <= CONNECTIONS
    assert counted[2] <= 2 * CONNECTIONS
    assert after <= CONNECTIONS
    assert len(times) >= MAILS  # what was under way in the one that stood still may come twice
