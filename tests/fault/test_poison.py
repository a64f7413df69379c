"""An entry that kills its worker again and again is held with its reason; other mail goes on."""

import os
import signal
from pathlib import Path

import pytest
from scenario_support import processes, queue, send, story
from support import until

from common.queue.strikes import LIMIT
from master.demo.sink_script import Rule
from master.demo.world import World


@pytest.mark.timeout(180)
async def test_poison(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world:
        [sink] = world.sinks
        world.add_domain("a.test", sink)
        deadly = Rule(phase="rcpt", recipient="poison@a.test", do="hang")
        sink.rules.append(deadly)
        [poison] = await send(world, "poison@a.test")
        for kill in range(1, LIMIT + 2):  # the first one leaves the mark of a crash, five more a strike each
            await until(lambda kill=kill: deadly.used == kill, 60)
            [pid] = [pid for pid, words in processes(tmp_path).items() if "outbound" in words]
            os.kill(pid, signal.SIGKILL)
        [held] = [row for row in await story(world, poison, "held") if row["type"] == "held"]
        assert held["reason"] == "poison"
        assert held["text"] == f"the worker died during {LIMIT} attempts at it"
        assert (await queue(world))[f"{poison}-1"]["queue_name"] == "hold"
        await send(world, "healthy@a.test")
        await sink.wait_for(1)
        assert deadly.used == LIMIT + 1
