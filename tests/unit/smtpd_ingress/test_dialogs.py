"""Runs tests/dialogs/*.smtp; tests/dialogs/README.md explains the lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dialog_support import DIALOGS, Dialog


@pytest.mark.parametrize("file", DIALOGS, ids=lambda file: file.stem)
async def test_dialog(file: Path, start_ingress: Callable[..., Any]) -> None:
    dialog = Dialog.read(file)
    ingress = await start_ingress(**dialog.keys)
    await dialog.hold(await ingress.connect())
    assert [f"{one.row.sender} -> {' '.join(one.row.recipients)}" for one in ingress.queued] == dialog.queued
    for number, ending in dialog.contents():
        assert ingress.queued[number].content.endswith(ending), ingress.queued[number].content
