"""A mistake in the configuration is told in one line that names the key; nothing is started."""

from pathlib import Path

import pytest
from scenario_support import postjet, said_once

MISTAKES = {
    "[delivery]\nretry_frist = '1m'": "unknown key delivery.retry_frist; did you mean delivery.retry_first?",
    "[[listeners]]\ntls = 'starttls'": "listeners[0].tls: only 'none' works in this version",
    "[[policies]]\ndomain = 'example.org'\nconnections = 5": "policies: only [] works in this version",
    "[delivery]\nexpire = 'soon'": "delivery.expire: ",
    "[delivery\n": "no valid TOML",
}


@pytest.mark.parametrize("text", MISTAKES)
@pytest.mark.parametrize("command", ["up", "check"])
async def test_bad_configuration(tmp_path: Path, command: str, text: str) -> None:
    config = tmp_path / "postjet.toml"
    config.write_text(text)
    line = said_once(await postjet(command, config=config), 78)
    assert f"{config}: " in line
    assert MISTAKES[text] in line
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("command", ["up", "check"])
async def test_no_such_file(tmp_path: Path, command: str) -> None:
    line = said_once(await postjet(command, config=tmp_path / "absent.toml"), 78)
    assert f"{tmp_path}/absent.toml: no such configuration file" in line
    assert list(tmp_path.iterdir()) == []
