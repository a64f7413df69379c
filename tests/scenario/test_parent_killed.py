"""The parent is killed and started again as systemd would: the queue is still there and gets delivered."""

import signal
from pathlib import Path

from scenario_support import mx, processes, queue, send, story, types
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS = 30


async def test_parent_killed(tmp_path: Path) -> None:
    settings = {"delivery": {"retry_max": "1s"}}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", "later.test") as sink:
        sink.rules.append(Rule(phase="rcpt", reply="451 4.3.0 Later"))
        submissions = await send(world, "a@later.test", mails=MAILS, sessions=5)
        assert await world.down(signal.SIGKILL) == -signal.SIGKILL
        await until(lambda: not _roles(tmp_path))  # they do not outlive it

        await world.up()
        assert set(await queue(world)) == {f"{submission}-1" for submission in submissions}
        sink.rules.clear()
        await sink.wait_for(MAILS, 30)
        rows = await story(world, submissions[-1], "delivered")
        assert types(rows)[0] == "accepted"


def _roles(folder: Path) -> list[list[str]]:
    return [words for words in processes(folder).values() if "run" in words]
