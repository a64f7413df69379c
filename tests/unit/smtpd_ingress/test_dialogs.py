"""Runs tests/dialogs/*.smtp; tests/dialogs/README.md explains the lines."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dialog_support import DIALOGS, Dialog
from users_support import user

from common.entry import Entry

FIELD = re.compile(r"(\w+)=('[^']*'|\([^)]*\)|\{[^}]*\}|\S+)")


@pytest.mark.parametrize("file", DIALOGS, ids=lambda file: file.stem)
async def test_dialog(file: Path, start_ingress: Callable[..., Any], certificate: dict[str, str]) -> None:
    dialog = Dialog.read(file)
    users = [user(name, senders=tuple(senders)) for name, *senders in dialog.users]
    with_tls = certificate if "tls" in dialog.keys else {}
    ingress = await start_ingress(users=users, **dialog.keys, **with_tls)
    await dialog.hold(await ingress.connect())
    assert [f"{one.row.sender} -> {' '.join(one.row.recipients)}" for one in ingress.queued] == dialog.queued
    for number, ending in dialog.contents():
        assert ingress.queued[number].content.endswith(ending), ingress.queued[number].content
    for submission, number, line in dialog.entries():
        check_entry(ingress.queued[submission].entries[number], line)


def check_entry(entry: Entry, line: str) -> None:
    """``name=value`` with values as Python writes them; ``accepted+600`` for times."""
    for name, text in FIELD.findall(line):
        value = getattr(entry, name)
        if text.startswith("accepted+"):
            value, text = round(value - entry.accepted), text.removeprefix("accepted+")
        assert repr(value) == text, f"{line}: {name}={value!r}"
