"""A data folder that cannot be written is told in one line."""

from pathlib import Path

import pytest
from scenario_support import postjet, said_once


@pytest.mark.parametrize("command", ["up", "check"])
async def test_unwritable_data_dir(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    config = tmp_path / "postjet.toml"
    config.write_text(f'data_dir = "{tmp_path}/file/var"\n[[listeners]]\nbind = "127.0.0.1:0"\n')
    line = said_once(await postjet(command, config=config), 73)
    assert f"{tmp_path}/file/var" in line
