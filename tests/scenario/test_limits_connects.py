"""Connections a second or a minute hold over four workers, by the clock of the MX host."""

import os
from pathlib import Path

import pytest
from limits_support import arrived, domains_in_all_lanes, host, most_within
from scenario_support import SENDER, ids

from common.units import parse_rate
from master.demo.generator import make_message, send_all
from master.demo.world import World

#: Connections in a window, and mails, each of which needs one; ``make limits`` takes a minute's window too.
LIMITS = [("10/s", 40), *([("60/m", 100)] if os.environ.get("LIMITS_SLOW") else [])]


@pytest.mark.parametrize(("rate", "count"), LIMITS)
async def test_limits_connects(tmp_path: Path, rate: str, count: int) -> None:
    slow = domains_in_all_lanes("slow")
    rule = {"mx": "mx.slow", "connection_rate": rate, "messages_per_connection": 1}
    world = World(tmp_path, sinks=1, settings={"pools.default": {"workers": 4}, "policies": [rule]})
    async with world, host(world, "127.0.1.1", "mx.slow", *slow) as limited:
        mails = [(SENDER, [f"r@{slow[i % 4]}"], make_message(1000, sender=SENDER)) for i in range(count)]
        ids(await send_all(mails, "127.0.0.1", world.smtp_port, 4))
        await arrived(limited, count, 240)
    limit, opened = parse_rate(rate), limited.opened
    most, share = most_within(opened, limit.per), (count - 1) / (opened[-1] - opened[0]) / limit.amount * limit.per
    print(f"\n{len(opened)} connections for {count} mails, most in a window of {rate} {most}, share {share:.1%}")
    assert most <= limit.amount
    if "LIMITS_SLOW" in os.environ:  # ``make limits``, on a machine that has nothing else to do
        assert share >= 0.75
