"""Runs tests/dialogs/*.smtp; tests/dialogs/README.md explains the lines."""

import fnmatch
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from users_support import user

from common.users.user import User

DIALOGS = sorted((Path(__file__).parents[2] / "dialogs").glob("*.smtp"))


def _user(name: str, *senders: str) -> User:
    return user(name, senders=senders)


@pytest.mark.parametrize("file", DIALOGS, ids=lambda file: file.stem)
async def test_dialog(file: Path, start_ingress: Callable[..., Any]) -> None:
    lines = file.read_text().splitlines()
    keys = [line.removeprefix("listener: ") for line in lines if line.startswith("listener: ")]
    users = [_user(*line.split()[1:]) for line in lines if line.startswith("user: ")]
    ingress = await start_ingress(users=users, **tomllib.loads("\n".join(keys)))
    client = await ingress.connect()
    queued = []
    for number, line in enumerate(lines, 1):
        where = f"{file.name}:{number}"
        match line[:3]:
            case "C: ":
                client.write(line[3:].encode() + b"\r\n")
            case "C> ":
                client.write(line[3:].encode().decode("unicode_escape").encode("latin-1"))
            case "S: " | "S* ":
                reply = await client.line() if line[1] == ":" else (await client.reply()).rpartition("\n")[2]
                # Brackets are no wildcards here: addresses of clients are written in them.
                assert fnmatch.fnmatchcase(reply, line[3:].replace("[", "[[]")), f"{where}: {reply}"
            case "S c":
                assert await client.line() == "", where
            case "que":
                queued.append(line.removeprefix("queued: "))
            case _:
                assert not line or line.startswith(("#", "listener: ", "user: ")), f"{where}: not understood"
    assert [f"{one.row.sender} -> {' '.join(one.row.recipients)}" for one in ingress.queued] == queued
