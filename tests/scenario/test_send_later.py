"""Mail sent later waits in the queue, is shown there, and goes once when it is due: over a stop and over a kill."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from scenario_support import mx, postjet, processes, queue, send_with, story, types
from support import until

from master.demo.world import World


async def shown(world: World, submission: str) -> None:
    """It is told as scheduled, with its time, by every command."""
    listed = (await queue(world))[f"{submission}-1"]
    assert (listed["queue_name"], listed["attempts"], listed["priority"]) == ("scheduled", 0, 7)
    assert listed["next_attempt"].startswith("20")
    for command in (["queue"], ["show", submission]):
        assert " (scheduled for " in (await postjet(*command, config=world.config_file)).stdout
    assert "X-Postjet" not in (await postjet("show", submission, config=world.config_file)).stdout
    [accepted] = await story(world, submission, "accepted")
    assert accepted["priority"] == 7
    assert accepted["next_attempt"].timestamp() > accepted["time"].timestamp() + 1
    told = await postjet("trace", submission, config=world.config_file)
    assert ", to be sent 20" in told.stdout
    as_json = await postjet("trace", "--json", submission, config=world.config_file)
    assert json.loads(as_json.stdout)["next_attempt"]


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_send_later(tmp_path: Path, *, kill: bool) -> None:
    async with World(tmp_path, sinks=1) as world, mx(world, "127.0.1.1", "due.test", "later.test") as sink:
        [far] = await send_with(world, "X-Postjet-Delay: 86400\r\nX-Postjet-Priority: 7\r\n", "far@later.test")
        if not kill:
            await shown(world, far)
        due, later = time.time() + 4, time.time() + 9  # after the stop, and after the start that follows
        # content that is too large to be scheduled with its entry, and one for several recipients
        [first] = await send_with(world, f"X-Postjet-Schedule: {due}\r\n", "a@due.test", "b@due.test")
        [second] = await send_with(world, f"X-Postjet-Schedule: {later}\r\nX-Big: {big()}\r\n", "c@later.test")
        await (_kill(world) if kill else world.down())
        await until(lambda: time.time() > due)

        await world.up()
        await sink.wait_for(2, 20)
        rows = await story(world, first, "delivered", 2)
        assert types(rows) == ["accepted", "delivered", "delivered"]
        assert (await queue(world)).keys() <= {f"{far}-1", f"{second}-1"}

        await sink.wait_for(3, 30)
        rows = await story(world, second, "delivered")
        assert types(rows) == ["accepted", "delivered"]
        assert sink.received[-1].time >= later
        assert rows[1]["time_total"] < rows[1]["time"].timestamp() - later + 0.1
        assert (await queue(world)).keys() == {f"{far}-1"}
    recipients = sorted(mail.recipients[0] for mail in sink.received)
    assert recipients == ["a@due.test", "b@due.test", "c@later.test"]


def big() -> str:
    return os.urandom(10_000).hex()


async def _kill(world: World) -> None:
    """The broker first, so that nothing of it ends in good order."""
    [broker] = [pid for pid, words in processes(world.folder).items() if words[0].endswith("nats-server")]
    assert world.process
    os.kill(world.process.pid, signal.SIGSTOP)  # it would start a new one
    os.kill(broker, signal.SIGKILL)
    await world.down(signal.SIGKILL)
    await until(lambda: not processes(world.folder))
