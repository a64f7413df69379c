"""swaks in the middle of its session when SIGTERM comes: 421 at most, and no mail twice or not at all."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support import until

from master.demo.world import World

pytestmark = pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed; apt-get install swaks")

#: What swaks talks to by pipe: passes everything on, but holds the server's reply to a stage until it may go.
_GATE = """
import os, socket, sys, threading, time
port, stage, folder = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3]
server = socket.create_connection(("127.0.0.1", port))
def up():
    while data := os.read(0, 65536):
        server.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := server.recv(65536):
    if stage in data:
        open(os.path.join(folder, "reached"), "w").close()
        while not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.01)
    os.write(1, data)
"""


@contextlib.asynccontextmanager
async def held_at(world: World, stage: str) -> AsyncIterator[asyncio.Task[str]]:
    """swaks with the reply that contains ``stage`` on its way; what it says until it has ended."""
    gate = world.folder / "gate.py"
    gate.write_text(_GATE)
    process = await asyncio.create_subprocess_exec(
        "swaks", "--pipe", f"{sys.executable} {gate} {world.smtp_port} '{stage}' {world.folder}",
        "--helo", "client.test", "--from", "news@sender.test", "--to", "r@a.test",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip

    async def said() -> str:
        out, _ = await process.communicate()
        return out.decode()

    task = asyncio.create_task(said())
    await until((world.folder / "reached").exists)
    yield task
    await task


async def test_before_data_it_is_sent_away(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world:
        world.add_domain("a.test")
        async with held_at(world, "2.1.5") as said:
            stopping = asyncio.create_task(world.down())
            await until(lambda: "finishing what is in flight" in world.log_file.read_text())
            assert await stopping == 0  # nobody waits for it
            (tmp_path / "go").touch()
            replies = _replies(await said)
        assert replies[-1] == "421"
        assert set(replies[:-1]) <= {"220", "250"}
        assert world.sinks[0].received == []


async def test_in_data_it_is_waited_for(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world:
        world.add_domain("a.test")
        async with held_at(world, "354") as said:
            stopping = asyncio.create_task(world.down())
            await until(lambda: "finishing what is in flight" in world.log_file.read_text())
            (tmp_path / "go").touch()
            text = await said
        assert await stopping == 0
        assert "queued as" in text
        assert set(_replies(text)) <= {"220", "250", "354", "421"}
        await world.up()
        await world.sinks[0].wait_for(1, 30)
        await world.down()
        assert len(world.sinks[0].received) == 1


def _replies(text: str) -> list[str]:
    """The codes of what the server said, as swaks shows it."""
    lines = [line for line in text.splitlines() if line.startswith(("<- ", "<** "))]
    return [line.split()[1][:3] for line in lines]
