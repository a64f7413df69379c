"""The worker that owns a limit is killed: nobody gets more than the limit allows, before, meanwhile and after."""

import asyncio
import os
import signal
import time
from pathlib import Path

from limits_support import arrived, domains_in_all_lanes, host, longest_gap, most_within, owner_pid
from scenario_support import SENDER, ids

from master.demo.generator import make_message, send_all
from master.demo.world import World

#: How many mails, and how often the owner is killed; ``make limits`` takes more.
MAILS, KILLS = int(os.environ.get("LIMITS_KILL_MAILS", "200")), int(os.environ.get("LIMITS_KILLS", "1"))
CONNECTIONS, RATE = 5, 20


async def test_limits_owner_killed(tmp_path: Path) -> None:
    domains = domains_in_all_lanes("slow")
    rule = {"provider": "slow", "connections": CONNECTIONS, "rate": f"{RATE}/s"}
    settings = {
        "pools.default": {"workers": 4}, "providers": [{"name": "slow", "mx": "mx.slow"}], "policies": [rule],
    }  # fmt: skip
    world = World(tmp_path, sinks=1, settings=settings)
    pauses = []
    async with world, host(world, "127.0.1.1", "mx.slow", *domains, wait=0.05) as limited:
        mails = [(SENDER, [f"r@{domains[i % 4]}"], make_message(1000, sender=SENDER)) for i in range(MAILS)]
        ids(await send_all(mails, "127.0.0.1", world.smtp_port, 4))
        for kill in range(KILLS):
            await arrived(limited, MAILS * (kill + 1) // (KILLS + 2), 90)
            killed = time.monotonic()
            os.kill(owner_pid(world, "provider:slow"), signal.SIGKILL)
            await arrived(limited, len([t for t in limited.mails if t < killed]) + RATE, 60)
            after = [t for t in limited.mails if t > killed - 1]
            pauses.append(longest_gap(after))
        await arrived(limited, MAILS, 120)
        await asyncio.sleep(0.1)  # one too many would come with the last ones
    times = limited.mails
    print(
        f"\n{len(times)} of {MAILS} mails, most in a second {most_within(times, 1.0)}, most open {limited.max_open}, "
        f"pauses after the kills {', '.join(f'{pause:.1f}' for pause in pauses)} s"
    )
    assert limited.max_open <= CONNECTIONS
    assert most_within(times, 1.0) <= RATE
    assert len(times) >= MAILS  # what was under way in the worker that died may come twice
