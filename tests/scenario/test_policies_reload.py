"""Rules change without a restart: in the file, and in KV over it."""

import time
from pathlib import Path

from scenario_support import mx, postjet, send
from support import until

from master.demo.world import World

MAILS = 12


async def test_policies_reload(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world, mx(world, "127.0.1.1", "slow.test") as sink:
        await send(world, "a@slow.test", mails=MAILS)
        await sink.wait_for(MAILS)
        world.settings["policies"] = [{"domain": "slow.test", "rate": "1/m"}]
        world.write_config()
        await until(lambda: "policies: new rules in force" in world.log_file.read_text())
        await send(world, "a@slow.test", mails=MAILS)
        await postjet("queue", config=world.config_file)
        assert sink.mails == MAILS, "they would be there by now"
        done = await postjet("policy", "set", "slow", "domain=slow.test", "rate=300/m", config=world.config_file)
        assert done.returncode == 0, done.stderr
        started = time.monotonic()
        await sink.wait_for(2 * MAILS, 20)  # at 1/m it would be as many minutes
        assert time.monotonic() - started > (MAILS - 2) / 5
