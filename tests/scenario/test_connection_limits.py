"""No more connections to a site, and no more messages on one of them, than the configuration says."""

from pathlib import Path

from scenario_support import mx, send

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS = 60


async def test_connection_limits(tmp_path: Path) -> None:
    settings = {"delivery": {"connections": 3, "messages_per_connection": 5}}
    domains = ("busy.test", "busy-too.test")  # with the same hosts: one site
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", *domains) as sink:
        sink.rules.append(Rule(phase="dot", wait=0.02))
        for domain in domains:
            await send(world, f"a@{domain}", mails=MAILS // 2, sessions=10)
        await sink.wait_for(MAILS, 30)
        assert sink.max_open == 3
        assert max(sink.transactions.values()) == 5
