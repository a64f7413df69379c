"""Return paths told of, and a new key to sign them with."""

import json
import time
from pathlib import Path

import pytest
from support import make_entry
from typer.testing import CliRunner

from common.errors import NotFoundError, UsageError
from common.ids import new_id
from common.verp import Tokens
from common.verp_keys import key_file
from master.cli import app


def run(folder: Path, *arguments: str, feedback: str = 'domain = "bounces.example.net"') -> str:
    """What a command prints; raises what it raises."""
    file = folder / "postjet.toml"
    file.write_text(f'data_dir = "{folder}/var"\n[feedback]\n{feedback}\n')
    done = CliRunner().invoke(app, ["--config", str(file), "feedback", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def token(folder: Path, delivery: str, **asked: str) -> str:
    [line] = key_file(str(folder / "var")).read_text().splitlines()[:1]
    submission, _, number = delivery.partition("-")
    entry = make_entry(submission=submission, number=int(number), **asked)
    return Tokens([bytes.fromhex(line.split()[1])]).make(entry, time.time())


def test_a_new_key_and_a_return_path_of_the_old_one(tmp_path: Path) -> None:
    delivery = f"{new_id()}-7"
    assert run(tmp_path, "rotate") == "a new key signs; 0 older are accepted\n"
    path = f"<{token(tmp_path, delivery, notify='FAILURE', ret='HDRS').upper()}@bounces.example.net>"
    assert run(tmp_path, "rotate") == "a new key signs; 1 older is accepted\n"
    assert run(tmp_path, "show", path).startswith(f"{delivery}  left on 20")
    told = json.loads(run(tmp_path, "show", path, "--json"))
    assert {name: told[name] for name in ("delivery", "notify", "ret")} == {
        "delivery": delivery, "notify": "FAILURE", "ret": "HDRS"
    }  # fmt: skip
    assert told["left"].endswith("T00:00:00.000Z")
    assert json.loads(run(tmp_path, "rotate", "--json")) == {"accepted": 2}


def test_what_is_no_return_path(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nobody@x: no return path"):
        run(tmp_path, "show", "nobody@x")


def test_without_feedback(tmp_path: Path) -> None:
    for command in (["show", "x"], ["rotate"]):
        with pytest.raises(UsageError, match=r"feedback\.domain"):
            run(tmp_path, *command, feedback="")


def test_keys_in_the_configuration(tmp_path: Path) -> None:
    feedback = f'domain = "bounces.example.net"\nsecrets = ["{"11" * 32}"]'
    with pytest.raises(UsageError, match=r"feedback\.secrets"):
        run(tmp_path, "rotate", feedback=feedback)
