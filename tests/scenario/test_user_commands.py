"""Users made by command while everything runs are what every process knows, and no password is to be found."""

import asyncio
import functools
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from scenario_support import broker, environment, postjet, query
from support import until
from typer.testing import CliRunner

from common.broker import Broker
from common.errors import PostjetError
from common.users.credentials import is_right
from common.users.usage import bounds
from common.users.users import Users
from master.cli import app
from master.demo.world import World
from smtpd_ingress.quota import Quotas, Reservation

TYPED, PIPED = "typed in twice", "  given by a pipe "


async def run(world: World, *arguments: str, code: int = 0, stdin: str = "") -> str:
    """What a ``postjet user`` command printed, or said where it failed; in this process, one at a time."""
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


@pytest.fixture
async def generated(world: World) -> AsyncIterator[str]:
    """There are tim, who has TYPED as his password, and app@a.test; its password."""
    limits = ("--sender", "@a.test", "--rate", "5/m", "--rate", "9/h")
    await run(world, "add", "tim", "--password-stdin", *limits, stdin=TYPED + "\n")
    added = await run(world, "add", "app@a.test", "--generate", "--json", "--quota", "100", "--option", "priority=7")
    made = json.loads(added)
    yield made.pop("password")
    assert made == {
        "name": "app@a.test", "senders": ["*"], "pools": ["*"], "options": {"priority": ["7"]},
        "rate": [], "quota": 100,
    }  # fmt: skip
    for name in ("tim", "app@a.test"):
        assert await run(world, "remove", name) == f"user {name} removed\n"


@asynccontextmanager
async def known(world: World) -> AsyncIterator[tuple[Broker, Users]]:
    """The users as a process knows them that starts now."""
    async with broker(world) as connection:
        users = Users()
        await users.start(connection)
        yield connection, users


async def test_a_password_is_typed_twice(world: World) -> None:
    assert "No users; add one with: postjet user add NAME" in await run(world, "list")
    said = await run(world, "add", "tim", code=os.EX_USAGE)
    assert "no terminal to ask for the password; use --password-stdin or --generate" in said
    said = await run(world, "add", "tim", "--password-stdin", stdin="short\n", code=os.EX_USAGE)
    assert "the password has fewer than 8 characters" in said
    code, shown = await asyncio.to_thread(type_password, world, "add", "tim", typed=(TYPED, TYPED))
    assert (code, TYPED in shown) == (0, False)
    assert "user tim added" in shown
    assert "there is a user 'tim' already" in await run(world, "add", "tim", "--generate", code=os.EX_USAGE)
    async with known(world) as (_, users):
        assert (tim := users.get("tim"))
        assert is_right(tim.password_hash, TYPED)
    await run(world, "remove", "tim")


async def test_who_was_added_is_known_and_listed_without_passwords(world: World, generated: str) -> None:
    async with known(world) as (_, users):
        assert (tim := users.get("tim"))
        assert (other := users.get("app@a.test"))
        assert is_right(tim.password_hash, TYPED)
        assert is_right(other.password_hash, generated)
        assert (tim.may_send_as("x@a.test"), tim.may_send_as("x@b.test")) == (True, False)
    as_json, table = await run(world, "list", "--json"), await run(world, "list")
    assert [row["name"] for row in json.loads(as_json)] == ["app@a.test", "tim"]
    assert ["app@a.test", "*", "*", "priority=7", "100/d"] in [line.split() for line in table.splitlines()]
    for secret in (TYPED, generated, "argon2", "SCRAM"):
        assert secret not in as_json + table


async def test_who_is_changed_is_known_anew(world: World, generated: str) -> None:
    async with known(world) as (connection, users):
        assert (before := users.get("tim"))
        assert "given another password" in await run(world, "passwd", "tim", "--password-stdin", stdin=PIPED + "\n")
        set_ = await run(world, "set", "tim", "--rate", "", "--sender", "x@b.test", "--json")
        assert json.loads(set_) == {**before.shown(), "rate": [], "senders": ["x@b.test"]}
        assert await users.look(connection)
        assert (tim := users.get("tim"))
        assert is_right(tim.password_hash, PIPED)
        assert (bounds(tim), tim.may_send_as("x@b.test")) == ([], True)


async def test_what_was_sent_is_shown_and_forgotten_with_the_user(world: World, generated: str) -> None:
    async with known(world) as (connection, users):
        assert (other := users.get("app@a.test"))
        quotas = Quotas(connection)
        assert isinstance(await quotas.reserve(other, 42), Reservation)
        await quotas.close()
        assert await run(world, "show", "app@a.test") == (
            "name     app@a.test\nsenders  *\npools    *\noptions  priority=7\nquota    100/d\n"
            "used     42 of 100/d recipients\n"
        )
        assert json.loads(await run(world, "show", "app@a.test", "--json"))["used"] == {"100/d recipients": 42}
        await run(world, "remove", "app@a.test")
        assert await connection.subjects("KV_usage", ">") == {}
    await run(world, "add", "app@a.test", "--generate")  # for the fixture


async def test_who_is_removed_is_known_no_more_and_all_is_told(world: World) -> None:
    await run(world, "add", "eve", "--generate")
    async with known(world) as (connection, users):
        await run(world, "passwd", "eve", "--generate")
        await run(world, "set", "eve", "--rate", "5/m")
        await run(world, "remove", "eve")
        assert await users.look(connection)
        assert len(users) == 0
    said = await run(world, "remove", "eve", code=os.EX_NOINPUT)
    assert "there is no user 'eve'; 'postjet user list' names all" in said
    assert (await postjet("user", "show", "nobody", config=world.config_file)).returncode == os.EX_NOINPUT

    async def told() -> bool:
        rows = await query(world, "SELECT text FROM events WHERE text LIKE 'user eve %' ORDER BY time")
        done = ("added", "given another password", "changed", "removed")
        return [row["text"].partition(" by ")[0] for row in rows] == [f"user eve {what}" for what in done]

    await until(told)
