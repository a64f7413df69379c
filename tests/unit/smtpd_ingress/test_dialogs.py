"""Runs tests/dialogs/*.smtp; tests/dialogs/README.md explains the lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dialog_support import DIALOGS, Dialog
from users_support import user


@pytest.mark.parametrize("file", DIALOGS, ids=lambda file: file.stem)
async def test_dialog(file: Path, start_ingress: Callable[..., Any]) -> None:
    dialog = Dialog.read(file)
    users = [user(name, senders=tuple(senders)) for name, *senders in dialog.users]
    ingress = await start_ingress(users=users, **dialog.keys)
    await dialog.hold(await ingress.connect())
    assert [f"{one.row.sender} -> {' '.join(one.row.recipients)}" for one in ingress.queued] == dialog.queued
    for number, ending in dialog.contents():
        assert ingress.queued[number].content.endswith(ending), ingress.queued[number].content
