"""A source address that the machine does not have is told at once, with its pool; nothing is started."""

import asyncio
from pathlib import Path

from scenario_support import postjet, said_once

CONFIG = '[pools.news]\nsource_addresses = ["127.0.0.2", "203.0.113.7"]\n'
SAID = "postjet: pools.news.source_addresses: 203.0.113.7: not on this machine; 'ip address' lists what is, add it "


async def test_source_not_here(tmp_path: Path) -> None:
    config = tmp_path / "postjet.toml"
    config.write_text(CONFIG)
    commands = (["up"], ["check"], ["run", "outbound", "--pool", "news"])
    for done in await asyncio.gather(*(postjet(*command, config=config) for command in commands)):
        assert said_once(done, 78).startswith(SAID)
    assert list(tmp_path.iterdir()) == [config]
