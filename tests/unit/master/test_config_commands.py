"""``postjet check`` on rules."""

import json
from pathlib import Path

import pytest
from tls_support import write_certificate
from typer.testing import CliRunner, Result

from common.errors import ConfigError
from common.webhook import new_secret
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


def test_folders_are_shown_as_they_are(tmp_path: Path) -> None:
    shown = check(tmp_path, f"data_dir = '{tmp_path}/kept'").stdout
    assert f"DKIM keys      0 at file://{tmp_path}/kept/dkim/{{domain}}.{{selector}}.pem\n" in shown


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


def test_certificates_are_checked(tmp_path: Path) -> None:
    keys = write_certificate(tmp_path, "mta1.example.net")
    text = "[[listeners]]\n" + "".join(f"{key} = '{value}'\n" for key, value in keys.items())
    assert ", TLS (starttls, valid until 20" in check(tmp_path, text).stdout
    write_certificate(tmp_path, "mta1.example.net", days=0)
    result = check(tmp_path, text, "--json")
    assert isinstance(result.exception, ConfigError)
    [bad] = json.loads(result.stdout)["certificates"]
    assert bad.startswith(f"listener 'relay': tls_cert: {keys['tls_cert']} has expired on ")
    assert str(result.exception) == bad


def test_of_a_webhook_the_host_is_shown(tmp_path: Path) -> None:
    text = f"[[webhooks]]\nname = 'chat'\nurl = 'https://chat.example/services/geheim'\nsecrets = ['{new_secret()}']"
    result = check(tmp_path, text)
    assert "webhook        chat to https://chat.example/***\n" in result.stdout, result.output
    assert "geheim" not in result.output


def test_the_query_of_a_url_is_not_shown(tmp_path: Path) -> None:
    result = check(tmp_path, "[nats]\nurl = 'nats://user:geheim@nats.example:4222?token=geheim'")
    assert "broker         nats://***@nats.example:4222?***\n" in result.stdout, result.output


FEEDBACK = "[feedback]\ndomain = 'bounces.example.net'\n"


@pytest.mark.parametrize(
    ("listener", "reason"),
    [
        ("", "relay (bind = 127.0.0.1:2525, this machine alone)"),
        ("bind = '[::1]:25'", "relay (bind = [::1]:25, this machine alone)"),
        ("bind = '0.0.0.0:25'\nauth = 'required'", 'relay (auth = "required")'),
        ("bind = '0.0.0.0:25'", ""),
        ("bind = '127.0.0.1:25'\nproxy = ['127.0.0.1/32']", ""),
    ],
)
def test_feedback_that_no_listener_takes(tmp_path: Path, listener: str, reason: str) -> None:
    text = f"{FEEDBACK}[[listeners]]\n{listener}\n"
    result = check(tmp_path, text, "--quiet")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert (f"no listener here takes mail from them: {reason}; add one" in result.stderr) == bool(reason)
    assert len(json.loads(check(tmp_path, text, "--json").stdout)["warnings"]) == bool(reason)
    assert check(tmp_path, f"[[listeners]]\n{listener}\n", "--quiet").stderr == ""


def test_feedback_needs_one_listener_that_takes_it(tmp_path: Path) -> None:
    keys = write_certificate(tmp_path, "mta1.example.net")
    implicit = "bind = '0.0.0.0:465'\ntls = 'implicit'\n" + "".join(f"{key} = '{keys[key]}'\n" for key in keys)
    text = f"{FEEDBACK}[[listeners]]\n[[listeners]]\nname = 'submissions'\n{implicit}"
    assert 'this machine alone), submissions (tls = "implicit"); add' in check(tmp_path, text).stderr
    assert check(tmp_path, f"{text}\n[[listeners]]\nname = 'mx'\nbind = '0.0.0.0:25'\n").stderr == ""
