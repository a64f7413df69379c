"""A mistake in the configuration is told in one line that names the key; nothing is started."""

import asyncio
from pathlib import Path

import pytest
from scenario_support import postjet, said_once
from tls_support import write_certificate

MISTAKES = {
    "[delivery]\nretry_frist = '1m'": "unknown key delivery.retry_frist; did you mean delivery.retry_first?",
    "[[listeners]]\ntls = 'implicit'": ":1: listeners[0].tls_cert: tls = implicit needs it",
    "[[policies]]\ndomain = 'example.org'\nconections = 5": "did you mean policies[0].connections?",
    "[[policies]]\nprovider = 'gogle'\nconnections = 5": ":1: policies.provider: 'gogle' is no provider",
    "[delivery]\nexpire = 'soon'": "delivery.expire: ",
    "[delivery]\nretry_first = '6h'": "delivery.retry_first: longer than retry_max",
    "[delivery\n": "no valid TOML",
}


@pytest.mark.parametrize("text", MISTAKES)
async def test_bad_configuration(tmp_path: Path, text: str) -> None:
    config = tmp_path / "postjet.toml"
    config.write_text(text)
    for line in await _up_and_check(config):
        assert line.startswith(f"postjet: {config}:")
        assert MISTAKES[text] in line
    assert list(tmp_path.iterdir()) == [config]


async def test_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    keys = write_certificate(tmp_path, "mta1.example.net", days=0)
    config = tmp_path / "postjet.toml"
    cert = f"[[listeners]]\ntls_cert = '{keys['tls_cert']}'\n"
    config.write_text(cert + "tls_key = 'no'")
    assert await _up_and_check(config) == ["postjet: listener 'relay': tls_key: no: No such file or directory"] * 2
    config.write_text(cert + f"tls_key = '{keys['tls_key']}'")
    for line in await _up_and_check(config):
        assert line.startswith(f"postjet: listener 'relay': tls_cert: {keys['tls_cert']} has expired on ")
    assert len(list(tmp_path.iterdir())) == 3


async def test_no_such_file(tmp_path: Path) -> None:
    absent = tmp_path / "absent.toml"
    assert await _up_and_check(absent) == [f"postjet: {absent}: no such configuration file"] * 2


async def _up_and_check(config: Path) -> list[str]:
    """What the commands said."""
    done = await asyncio.gather(postjet("up", config=config), postjet("check", config=config))
    return [said_once(command, 78) for command in done]
