"""Who is refused for good is suppressed at once, and a command lets mail through again."""

import asyncio
import functools
import json
import os
from pathlib import Path

import pytest
from scenario_support import SENDER, mx, query, rcpt, send, send_as, story
from support import until
from typer.testing import CliRunner

from common.errors import PostjetError
from master.cli import app
from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

GONE, FINE, FULL = (f"{name}@gone.test" for name in ("nobody", "somebody", "full"))


async def command(world: World, *arguments: str, code: int = 0) -> str:
    """What a command printed, or said where it failed; in this process, one at a time."""
    invoke = functools.partial(CliRunner().invoke, app, ["--config", str(world.config_file), "suppression", *arguments])
    done = await asyncio.to_thread(invoke)
    failure = done.exception
    assert failure is None or isinstance(failure, PostjetError), failure
    assert (failure.exit_code if failure else done.exit_code) == code
    return str(failure) if failure else done.stdout


async def test_a_hard_bounce_is_suppressed_until_it_is_removed(world: World) -> None:
    async with mx(world, "127.0.1.71", "gone.test") as sink:
        sink.rules.append(Rule(phase="rcpt", recipient=GONE, reply="550 5.1.1 No such user", times=1))
        sink.rules.append(Rule(phase="rcpt", recipient=FULL, reply="550 5.7.1 Listed in a blocklist"))
        [submission] = await send(world, GONE, FINE, FULL)
        await story(world, submission, "bounced", 2)
        [told] = json.loads(f"[{await command(world, 'check', GONE, '--json')}]")
        assert (told["scope"], told["source"], told["by"]) == ("@sender.test", "bounce", f"{submission}-1")
        assert "5.1.1 No such user" in told["reason"]
        await command(world, "check", FULL, code=os.EX_NOINPUT)

        async def refused() -> bool:  # listeners look twice a second
            return (await rcpt(world, GONE))[0] == 550

        await until(refused)
        _, text = await rcpt(world, GONE.upper())
        assert text.startswith("5.7.1 <NOBODY@gone.test>: suppressed: its mail bounced until ")
        assert text.endswith("'postjet suppression remove NOBODY@gone.test' lets mail through again")
        await send_as(world, "other@elsewhere.test", GONE)
        await sink.wait_for(2)

        assert GONE in await command(world, "list", "--domain", "gone.test")
        assert "is not suppressed for mail of @sender.test any more" in await command(world, "remove", GONE)
        await command(world, "check", GONE, code=os.EX_NOINPUT)
        await until(lambda: accepted(world))

        async def arrives() -> bool:  # workers look twice a second too, and not at the same time
            await story(world, (await send(world, GONE))[0], "accepted")
            return len(sink.received) > 2

        await until(arrives)

    async def told_of() -> bool:
        rows = await query(world, "SELECT text FROM events WHERE type = 'admin' AND recipient = 'nobody@gone.test'")
        return sorted(row["text"].partition(":")[0].partition(",")[0] for row in rows) == [
            "no longer suppressed", "suppressed",
        ]  # fmt: skip

    await until(told_of)


async def accepted(world: World) -> bool:
    return (await rcpt(world, GONE))[0] == 250


async def test_lists_of_others_come_in_and_go_out(world: World, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.csv"
    theirs.write_text(
        "\ufeffEmail Address,Reason,Created\nAnn@list.test,Spam complaint,2026-11-01T00:00:00Z\nno address,x,\n"
        "bob@list.test,hard bounce,2026-11-01\nann@list.test,,\n"
    )
    said = json.loads(await command(world, "import", str(theirs), "--sender", "@sender.test", "--json"))
    assert said == {"rows": 3, "added": 2, "there": 1, "refused": 1}
    [ann] = json.loads(f"[{await command(world, 'check', 'ann@list.test', '--sender', SENDER, '--json')}]")
    assert (ann["source"], ann["reason"], ann["since"]) == ("complaint", "Spam complaint", "2026-11-01T00:00:00.000Z")
    ours = tmp_path / "ours.csv"
    await command(world, "export", str(ours))
    assert {line.partition(",")[0] for line in ours.read_text().splitlines()} >= {"ann@list.test", "bob@list.test"}
    again = json.loads(await command(world, "import", str(ours), "--json"))
    assert (again["added"], again["refused"]) == (0, 0)
    for name in ("ann", "bob"):
        await command(world, "remove", f"{name}@list.test", "--sender", "@sender.test")
