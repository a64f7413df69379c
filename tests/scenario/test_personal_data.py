"""All that is recorded about a recipient is written out, then erased; what is still in the queue is named."""

import json

import pytest
from scenario_support import mx, postjet, query, send, send_with, story
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANN, BOB = "ann@person.test", "bob@person.test"


async def test_export_and_erase(world: World) -> None:
    async with mx(world, "127.0.1.2", "person.test") as sink:
        sink.rules.append(Rule(phase="rcpt", recipient=ANN, reply="550 5.1.1 <ann@person.test>: User unknown"))
        [waiting] = await send_with(world, "X-Postjet-Delay: 3600\r\n", ANN)
        await story(world, waiting, "accepted")
        [submission] = await send(world, ANN, BOB)
        await story(world, submission, "delivered")
        rows = await story(world, submission, "bounced")
    done = await postjet("events", "export", "Ann@person.test", config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(event["type"] for event in told) == ["accepted", "accepted", "admin", "bounced"]  # admin: suppressed
    assert BOB not in done.stdout
    done = await postjet("events", "erase", ANN, config=world.config_file)  # nobody there to be asked
    assert done.returncode == 1
    assert f"4 events and 0 rows set aside tell of {ANN}" in done.stderr
    done = await postjet("events", "erase", ANN, "--yes", config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, *_ = done.stdout.splitlines()
    assert first == "erased: 4 events, 0 rows set aside"
    assert f"still in the queue: {waiting}-1;" in second
    assert [row["type"] for row in await story(world, submission, "bounced")] == [row["type"] for row in rows]
    everything = await query(world, "SELECT * FROM events WHERE type != 'admin'")
    assert [row for row in everything if ANN in str(row)] == []
    assert next(row["recipients"] for row in everything if row["submission"] == submission) == [BOB]
    for command in ("trace", "events export"):
        done = await postjet(*command.split(), ANN, config=world.config_file)
        assert done.returncode == 66, done.stdout
    await until(lambda: _told(world))
    done = await postjet("stop", "--id", waiting, "--reason", "erased", config=world.config_file)
    assert done.returncode == 0


async def _told(world: World) -> bool:
    """The database has it that somebody erased, and not whom."""
    rows = await query(world, "SELECT * FROM events WHERE type = 'admin' AND reason = 'erase'")
    return [(row["count"], ANN in str(row)) for row in rows] == [(4, False)]


async def test_no_address(world: World) -> None:
    done = await postjet("events", "export", "ann", config=world.config_file)
    assert done.returncode == 64
    assert done.stderr == "postjet: ann: no domain\n"
