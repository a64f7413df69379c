"""``postjet top`` shows what goes where now; for programs a line of JSON, on a terminal a screen; Ctrl-C ends it."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from typing import Any

import pytest
from scenario_support import environment, mx, postjet, send
from support import until

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def look(world: World) -> dict[str, Any]:
    done = await postjet("top", "--once", "--json", config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def start(world: World, *arguments: str, stdout: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "master", "--config", str(world.config_file), "top", *arguments]
    return subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment(TERM="xterm"),
        preexec_fn=_hears_ctrl_c,
    )  # fmt: skip


def _hears_ctrl_c() -> None:
    """Who is started in the background, as these tests may be, ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C does."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


async def test_top(world: World) -> None:
    async with mx(world, "127.0.1.1", "top.test"):
        views: list[dict[str, Any]] = []

        async def told() -> bool:
            await send(world, "a@top.test", "b@top.test")
            views.append(await look(world))
            return any(row["domain"] == "top.test" and row["delivered"] > 0 for row in views[-1]["domains"])

        await until(told)
    [pool] = views[-1]["pools"]
    assert (pool["pool"], pool["workers"], views[-1]["missing"]) == ("default", 1, [])
    assert pool["accepted"] > 0
    assert pool["delivered"] > 0


async def test_lines_until_ctrl_c(world: World) -> None:
    process = start(world, "--json", "--every", "0.5", stdout=subprocess.PIPE)
    assert process.stdout
    for _ in range(2):
        assert json.loads(await asyncio.to_thread(process.stdout.readline))["pools"]
    await asyncio.to_thread(end, process)


async def test_a_screen_until_ctrl_c(world: World) -> None:
    ours, theirs = pty.openpty()
    process = start(world, stdout=theirs)
    os.close(theirs)
    shown = ""
    while "default" not in shown:
        shown += (await asyncio.to_thread(os.read, ours, 65536)).decode()
    assert "delivered/s" in shown
    await asyncio.to_thread(end, process)
    os.close(ours)
