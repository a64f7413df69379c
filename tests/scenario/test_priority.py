"""Mail of high priority overtakes what waits for a slow site, over a restart too; what is low has its share."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

from scenario_support import mx, processes, queue, send_with
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS = 40


async def test_priority(tmp_path: Path) -> None:
    settings = {"delivery": {"connections": 1, "command_timeout": "60s"}}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", "slow.test") as sink:
        gate = asyncio.Event()
        sink.rules.append(Rule(phase="mail", wait=gate))
        for priority in (0, 9):
            options = f"X-Postjet-Priority: {priority}\r\n"
            await send_with(world, options, f"p{priority}@slow.test", mails=MAILS, sessions=5)
        assert await world.down(signal.SIGKILL) == -signal.SIGKILL
        await until(lambda: not [words for words in processes(tmp_path).values() if "run" in words])
        before = sink.rules[0].used

        await world.up()
        listed = await queue(world)
        assert Counter(entry["priority"] for entry in listed.values()) == {0: MAILS, 9: MAILS}
        await sink.wait_until(lambda: sink.rules[0].used > before, 20)
        gate.set()
        await sink.wait_for(2 * MAILS, 60)
    order = [mail.recipients[0][:2] for mail in sink.received]
    # as they came it would be p0 first; by bands it is p9 about ten times of twelve
    first = Counter(order[: MAILS // 2])
    assert first["p9"] > MAILS // 4
    assert first["p0"] >= 1
    assert Counter(order) == {"p0": MAILS, "p9": MAILS}
    assert b"X-Postjet" not in sink.received[0].content
