"""Runs tests/dialogs/*.smtp; tests/dialogs/README.md explains the lines."""

import fnmatch
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from users_support import user

from common.entry import Entry
from common.users.user import User

#: RFC 2034 section 4: replies have an enhanced code of their class; but the greeting, those to HELO and EHLO, and 3xx.
CODED = re.compile(r"([245])\d\d \1(\.\d{1,3}){2} .+|3[35]4 .*|2[25]0 (mta1\.example\.net|LIMITS|STARTTLS|AUTH).*")
FIELD = re.compile(r"(\w+)=('[^']*'|\([^)]*\)|\{[^}]*\}|\S+)")
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
    queued: list[str] = []
    entries: Iterator[Entry] = iter(())
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
                assert reply[3] == "-" or CODED.fullmatch(reply), f"{where}: {reply}"
                assert fnmatch.fnmatchcase(reply, line[3:].replace("[", "[[]")), f"{where}: {reply}"
            case "S c":
                assert await client.line() == "", where
            case "que":
                queued.append(line.removeprefix("queued: "))
                entries = iter(ingress.queued[len(queued) - 1].entries)
            case "ent":
                check_entry(next(entries), line.removeprefix("entry: "), where)
            case _:
                assert not line or line.startswith(("#", "listener: ", "user: ")), f"{where}: not understood"
    assert [f"{one.row.sender} -> {' '.join(one.row.recipients)}" for one in ingress.queued] == queued


def check_entry(entry: Entry, line: str, where: str) -> None:
    """``name=value`` with values as Python writes them; ``accepted+600`` for times."""
    for name, text in FIELD.findall(line):
        value = getattr(entry, name)
        if text.startswith("accepted+"):
            value, text = round(value - entry.accepted), text.removeprefix("accepted+")
        assert repr(value) == text, f"{where}: {name}={value!r}"
