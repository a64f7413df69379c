"""A second `postjet up` on the same data folder is refused in one line; the first one goes on."""

from pathlib import Path

import pytest
from scenario_support import mx, postjet, said_once, send

from master.demo.world import World
from master.sockets import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_second_up(world: World, tmp_path: Path) -> None:
    text = world.config_file.read_text().replace(f":{world.smtp_port}", f":{free_port()}")
    other = tmp_path / "other.toml"
    other.write_text(text)
    line = said_once(await postjet("up", config=other), 75)
    assert str(world.folder / "var") in line
    assert f"pid {world.instance['pid']}" in line
    async with mx(world, "127.0.1.5", "goes-on.test") as sink:
        await send(world, "a@goes-on.test")
        await sink.wait_for(1)
