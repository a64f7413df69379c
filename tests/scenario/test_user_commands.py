"""Users made by command while everything runs are what every process knows, and no password is to be found."""

import asyncio
import functools
import json
import os
import pty
import sys

from scenario_support import broker, environment, postjet, query
from support import until
from typer.testing import CliRunner

from common.errors import PostjetError
from common.users.credentials import is_right
from common.users.usage import bounds
from common.users.users import Users
from master.cli import app
from master.demo.world import World
from smtpd_ingress.quota import Quotas, Reservation

TYPED, PIPED = "typed in twice", "  given by a pipe "


async def run(world: World, *arguments: str, code: int = 0, stdin: str = "") -> str:
    """What a ``postjet user`` command printed, or said where it failed; in this process, for there are many."""
    invoke = functools.partial(CliRunner().invoke, app, ["--config", str(world.config_file), "user", *arguments])
    done = await asyncio.to_thread(invoke, input=stdin)
    failure = done.exception
    assert failure is None or isinstance(failure, PostjetError), failure
    assert (failure.exit_code if failure else done.exit_code) == code
    return str(failure) if failure else done.stdout


def type_password(world: World, *arguments: str, typed: tuple[str, str]) -> tuple[int, str]:
    """Run a command at a terminal and answer its two questions; exit code and what the terminal showed."""
    command = [sys.executable, "-m", "master", "--config", str(world.config_file), "user", *arguments]
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe(command[0], command, environment())
    shown = b""
    try:
        for question, answer in zip((b"Password: ", b"The same again: "), typed, strict=True):
            while question not in shown:
                shown += os.read(terminal, 1000)
            os.write(terminal, answer.encode() + b"\n")
        while True:
            shown += os.read(terminal, 1000)
    except OSError:  # the terminal's end: the command has ended
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), shown.decode()
    finally:
        os.close(terminal)


async def test_user_commands(world: World) -> None:
    assert "No users; add one with: postjet user add NAME" in await run(world, "list")
    said = await run(world, "add", "tim", code=os.EX_USAGE)
    assert "no terminal to ask for the password; use --password-stdin or --generate" in said
    said = await run(world, "add", "tim", "--password-stdin", stdin="short\n", code=os.EX_USAGE)
    assert "the password has fewer than 8 characters" in said

    arguments = ("add", "tim", "--sender", "@a.test", "--rate", "5/m", "--rate", "9/h")
    code, shown = await asyncio.to_thread(type_password, world, *arguments, typed=(TYPED, TYPED))
    assert (code, TYPED in shown) == (0, False)
    assert "user tim added" in shown
    added = json.loads(
        await run(world, "add", "app@a.test", "--generate", "--json", "--quota", "100", "--option", "priority=7")
    )
    generated = added.pop("password")
    assert added == {
        "name": "app@a.test", "senders": ["*"], "pools": ["*"], "options": {"priority": ["7"]},
        "rate": [], "quota": 100,
    }  # fmt: skip
    assert "there is a user 'tim' already" in await run(world, "add", "tim", "--generate", code=os.EX_USAGE)

    async with broker(world) as connection:
        users = Users()
        await users.start(connection)
        tim, other = users.get("tim"), users.get("app@a.test")
        assert tim
        assert other
        assert is_right(tim.password_hash, TYPED)
        assert is_right(other.password_hash, generated)
        assert tim.may_send_as("x@a.test")
        assert not tim.may_send_as("x@b.test")

        quotas = Quotas(connection)
        assert isinstance(await quotas.reserve(other, 42), Reservation)
        await quotas.close()
        assert await run(world, "show", "app@a.test") == (
            "name     app@a.test\nsenders  *\npools    *\noptions  priority=7\nquota    100/d\n"
            "used     42 of 100/d recipients\n"
        )
        assert json.loads(await run(world, "show", "app@a.test", "--json"))["used"] == {"100/d recipients": 42}

        assert "given another password" in await run(world, "passwd", "tim", "--password-stdin", stdin=PIPED + "\n")
        set_ = await run(world, "set", "tim", "--rate", "", "--sender", "x@b.test", "--json")
        assert json.loads(set_) == {**tim.shown(), "rate": [], "senders": ["x@b.test"]}
        assert await users.look(connection)
        tim = users.get("tim")
        assert tim
        assert is_right(tim.password_hash, PIPED)
        assert (bounds(tim), tim.may_send_as("x@b.test")) == ([], True)

        as_json, table = await asyncio.gather(run(world, "list", "--json"), run(world, "list"))
        assert [row["name"] for row in json.loads(as_json)] == ["app@a.test", "tim"]
        assert "app@a.test  *         *      priority=7  100/d" in table
        for secret in (TYPED, PIPED, generated, "argon2", "SCRAM"):
            assert secret not in as_json + table

        assert await run(world, "remove", "app@a.test") == "user app@a.test removed\n"
        assert await connection.subjects("KV_usage", ">") == {}
        await run(world, "remove", "tim")
        assert await users.look(connection)
        assert len(users) == 0
    said = await run(world, "remove", "tim", code=os.EX_NOINPUT)
    assert "there is no user 'tim'; 'postjet user list' names all" in said
    assert (await postjet("user", "show", "nobody", config=world.config_file)).returncode == os.EX_NOINPUT

    async def told() -> bool:
        rows = await query(world, "SELECT text FROM events WHERE type = 'admin' AND reason = 'user' ORDER BY time")
        return [row["text"].partition(" by ")[0] for row in rows] == [
            "user tim added", "user app@a.test added", "user tim given another password", "user tim changed",
            "user app@a.test removed", "user tim removed",
        ]  # fmt: skip

    await until(told)
