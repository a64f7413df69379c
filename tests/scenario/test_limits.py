"""Limits hold over four workers, by the clock of the MX host: connections, idle ones too, and mails a second."""

import os
from pathlib import Path

from limits_support import Host, arrived, domains_in_all_lanes, host, longest_gap, most_within
from scenario_support import SENDER, ids

from master.demo.generator import make_message, send_all
from master.demo.world import World

#: Mails under the limit of 20 a second, and to others; ``make limits`` takes more.
SLOW, OTHERS = int(os.environ.get("LIMITS_SLOW", "220")), int(os.environ.get("LIMITS_OTHERS", "600"))
CONNECTIONS, RATE = 5, 20


async def test_limits(tmp_path: Path) -> None:
    slow, others = domains_in_all_lanes("slow"), domains_in_all_lanes("other", each=5)
    rule = {"mx": "mx.slow", "connections": CONNECTIONS, "rate": f"{RATE}/s"}
    settings = {"pools.default": {"workers": 4}, "policies": [rule]}
    world = World(tmp_path, sinks=1, settings=settings)
    async with (
        world,
        host(world, "127.0.1.1", "mx.slow", *slow, wait=0.05) as limited,
        host(world, "127.0.1.2", "mx.other", *others) as free,
    ):
        mails = [(SENDER, [f"r@{slow[i % 4]}"], make_message(1000, sender=SENDER)) for i in range(SLOW)]
        mails += [(SENDER, [f"r@{others[i % 20]}"], make_message(1000, sender=SENDER)) for i in range(OTHERS)]
        ids(await send_all(mails, "127.0.0.1", world.smtp_port, 4))
        await arrived(free, OTHERS, 60)
        still = SLOW - len(limited.mails)
        await arrived(limited, SLOW, 60 + SLOW / RATE)
    print(report(limited, SLOW))
    print(f"others: {OTHERS} in {free.mails[-1] - free.mails[0]:.1f} s, {still} of the limited were still to go")
    assert limited.max_open <= CONNECTIONS
    assert most_within(limited.mails, 1.0) <= RATE
    assert len(limited.mails) == SLOW
    if "LIMITS_SLOW" in os.environ:  # ``make limits``, on a machine that has nothing else to do
        assert share(limited.mails) >= 0.85
    assert still > 0  # nobody waits for them


def share(times: list[float]) -> float:
    """The part of the rate that was used from the first to the last."""
    return (len(times) - 1) / (times[-1] - times[0]) / RATE


def report(limited: Host, count: int) -> str:
    """The figures."""
    times = limited.mails
    return (
        f"\n{len(times)} of {count} mails, most in a second {most_within(times, 1.0)}, most open {limited.max_open}, "
        f"share {share(times):.1%}, longest pause {longest_gap(times):.2f} s, connections {len(limited.opened)}"
    )
