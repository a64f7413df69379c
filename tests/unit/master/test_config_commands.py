"""``postjet check`` on rules."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from common.errors import ConfigError
from master.cli import app

BAD = "data_dir = 'var'\n[[providers]]\nname = 'p'\nmx = '*.p.example'\nsamples = 'mx.q.example'\n"


def check(tmp_path: Path, text: str, *arguments: str) -> Result:
    (tmp_path / "postjet.toml").write_text(text)
    return CliRunner().invoke(app, ["--config", str(tmp_path / "postjet.toml"), "check", *arguments])


def test_rules_are_counted(tmp_path: Path) -> None:
    result = check(tmp_path, "[[policies]]\nconnections = 3")
    assert result.exit_code == 0, result.output
    assert ", of which 1 your own" in result.stdout
    assert check(tmp_path, "", "--quiet").stdout == ""


def test_a_rule_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    result = check(tmp_path, BAD)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == f"{tmp_path}/postjet.toml:2: provider p: sample 'mx.q.example' is not matched"


def test_for_programs(tmp_path: Path) -> None:
    result = check(tmp_path, BAD, "--json")
    assert isinstance(result.exception, ConfigError)
    told = json.loads(result.stdout)
    text = "sample 'mx.q.example' is not matched"
    problem = {"origin": f"{tmp_path}/postjet.toml:2", "rule": "provider p", "text": text}
    assert (told["problems"], told["keys"]) == ([problem], [])
    assert json.loads(check(tmp_path, "", "--json").stdout)["problems"] == []
