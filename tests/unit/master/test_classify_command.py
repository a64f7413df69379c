"""``postjet classify``."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.errors import UsageError
from master.classify_command import app

RULE = """[[classes]]
name = "mine"
class = "content"
type = "soft"
provider = "example"
text = 'gloop'
samples = ["550 Gloop", "550 gloop, sorry"]
"""


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postjet.toml").write_text(RULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSTJET_CONFIG", raising=False)


def run(*arguments: str, given: str = "") -> str:
    result = CliRunner().invoke(app, arguments, input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_text() -> None:
    words = run("550 5.1.1 <ann@example.org>: User unknown").split()
    assert words[:3] == ["invalid-recipient", "hard", "invalid-recipient"]
    assert words[3].startswith("(conf/classes.toml:")
    assert run("550 Gloop") == "unclassified  soft  no rule\n"
    assert run("550 User unknown").endswith(")\nhard as the answer to RCPT (--phase rcpt)\n")
    assert run("550 User unknown", "--phase", "rcpt").startswith("invalid-recipient  hard")
    assert run("550 User unknown", "--phase", "dot").startswith("invalid-recipient  soft")


def test_what_is_known_besides_the_text() -> None:
    assert run("Gloop", "--code", "550", "--provider", "example").startswith("content  soft  mine (")
    assert "postjet.toml:1" in run("Gloop", "--provider", "example")
    assert run("Access denied", "--code", "554", "--phase", "mail").startswith("bad-sender")
    assert json.loads(run("user unknown", "--code", "450", "--json"))["type"] == "soft"


def test_json() -> None:
    found = json.loads(run("552 5.2.2 Mailbox full", "--json"))
    assert found["origin"].startswith("conf/classes.toml:")
    assert {**found, "origin": ""} == {
        "class": "mailbox-full", "type": "soft", "rule": "mailbox-full", "origin": "", "permanent": True,
    }  # fmt: skip


def test_standard_input() -> None:
    lines = run("--json", given="550 User unknown\n\n450 Greylisted\n").splitlines()
    assert [json.loads(line)["class"] for line in lines] == ["invalid-recipient", "greylisted"]
    assert json.loads(lines[1])["text"] == "450 Greylisted"
    assert run(given="550 User unknown\n").endswith("  550 User unknown\n")


def test_rules() -> None:
    rows = {row["rule"]: row for row in json.loads(run("--rules", "--json"))}
    assert rows["mine"]["decides"] == 2
    assert rows["mailbox-full"]["matches"] >= rows["mailbox-full"]["decides"] >= 2
    assert run("--rules").split()[:4] == ["rule", "class", "samples", "matches"]


def test_a_time_that_is_none() -> None:
    with pytest.raises(UsageError, match="--since: "):
        run("--unknown", "--since", "yesterday")
