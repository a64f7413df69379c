"""SIGTERM ends it in order: what is in flight is finished, nothing of it is left running."""

import asyncio
from pathlib import Path

from scenario_support import processes, send
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World


async def test_stop(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world:
        sink, held = world.sinks[0], asyncio.Event()
        world.add_domain("held.test")
        sink.rules.append(Rule(phase="dot", wait=held))
        await send(world, "a@held.test")
        await sink.wait_until(lambda: sink.rules[0].used == 1)
        assert len(processes(tmp_path)) >= 6  # the parent, two servers, three roles
        stopped = asyncio.create_task(world.down())
        await until(lambda: "finishing what is in flight" in world.log_file.read_text())
        held.set()
        async with asyncio.timeout(20):
            assert await stopped == 0
        log = world.log_file.read_text()
        assert "status=sent" in log
        assert "Traceback" not in log
        assert processes(tmp_path) == {}
