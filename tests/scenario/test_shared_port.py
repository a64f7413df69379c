"""Processes of a listener share its port: each takes mail."""

import re
from pathlib import Path

from scenario_support import send
from support import until

from master.demo.world import World


async def test_shared_port(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1, settings={"listener": {"processes": 2}}) as world:
        world.add_domain("many.test")
        await until(lambda: world.log_file.read_text().count("listening on") == 2)
        await send(world, "a@many.test", mails=50, sessions=50)
        await world.sinks[0].wait_for(50)
        assert await world.down() == 0
        log = world.log_file.read_text()
    assert log.count(", as one of 2 with limits of its own") == 2
    pids = re.findall(r"postjet/smtpd_ingress\[(\d+)\]: \w+: client=", log)
    assert len(pids) == 50
    assert len(set(pids)) == 2
