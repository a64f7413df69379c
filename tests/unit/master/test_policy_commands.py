"""What ``postjet policy set`` takes and what it refuses before anything is asked of the broker."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.errors import UsageError
from master.policy_commands import app, parse


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["domain=a.example", "rate=5/s"], {"domain": "a.example", "rate": "5/s"}),
        (["connections=5", "retry_factor=1.5"], {"connections": 5, "retry_factor": 1.5}),
        (["rate=5/s", "rate=100/h", "rate=9/d"], {"rate": ["5/s", "100/h", "9/d"]}),
        (['domain = "a.example"\nrate = "5/s"'], {"domain": "a.example", "rate": "5/s"}),
        (['retry = ["1m", "1h"]', "retry=2h"], {"retry": ["1m", "1h", "2h"]}),
        (["mx = *.a.example"], {"mx": "*.a.example"}),
        (["mx==x"], {"mx": "=x"}),
    ],
)
def test_arguments(arguments: list[str], rule: dict[str, object]) -> None:
    assert parse(arguments) == rule


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x", "conections=2"], "unknown key conections; did you mean connections?"),
        (["x", "domain=a.test"], "connections: the rule sets nothing"),
        (["x", "rate=5"], "rate[0]: 5 is no rate"),
        (["x", "provider=gogle", "connections=1"], "'gogle' is no provider; did you mean 'google'?"),
        (["x", "pool=bulk", "connections=1"], "'bulk' is no pool of the configuration; there are default"),
        (["x", "domain=a.test", "samples=b.test", "connections=1"], "sample 'b.test' is not matched"),
        (["x", "fast"], "'fast' is neither key=value nor TOML"),
        (["x", "domain = 'a'\nfast"], "is neither key=value nor TOML"),
        (["a.b", "connections=1"], "'a.b' is no name for a rule; use lower-case letters, digits, - and _"),
        (["x", "[[policies]]\nconnections=1"], "unknown key policies"),
    ],
)
def test_what_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "postjet.toml").write_text("")
    result = CliRunner().invoke(app, ["set", *arguments], obj=str(tmp_path / "postjet.toml"))
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert "KV x" not in str(result.exception)
