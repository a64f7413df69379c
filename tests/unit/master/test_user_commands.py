"""What ``postjet user`` refuses before anything is asked of the broker, and what it makes of its options."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.errors import UsageError
from master.user_commands import app
from master.user_input import parse_changes, parse_options


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ((None, None, None, None, None), {}),
        ((["@a.test", "b@c.test"], None, None, None, 0), {"senders": ["@a.test", "b@c.test"], "quota": 0}),
        (([""], [""], [""], [""], None), {"senders": ["*"], "pools": ["*"], "options": {}, "rate": []}),
        ((None, ["bulk"], None, ["5/s", "9/h"], 7), {"pools": ["bulk"], "rate": ["5/s", "9/h"], "quota": 7}),
    ],
)
def test_changes(given: tuple[None, None, None, None, None], changes: dict[str, object]) -> None:
    assert parse_changes(*given) == changes


def test_options() -> None:
    assert parse_options(["priority=7", "Tag = a", "tag=b=c"]) == {"priority": ["7"], "tag": ["a", "b=c"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "a b"], "'a b' is no name for a user; use letters, digits and . _ @ + -, at most 128"),
        (["add", "tim", "--sender", "a.test"], "'a.test' is no sender"),
        (["add", "tim", "--pool", "bulk"], "'bulk' is no pool of the configuration; there are default, news"),
        (["add", "tim", "--rate", "5"], "'5' is no rate"),
        (["add", "tim", "--option", "priority"], "--option: 'priority' is not name=value"),
        (["add", "tim", "--option", "priority=77"], "--option: priority: '77' must be 0 to 9"),
        (["add", "tim", "--option", "colour=red"], "--option: colour: no option of this version"),
        (["add", "tim", "--option", "pool=bulk"], "--option: pool: 'bulk' is no pool here"),
        (["add", "tim", "--pool", "news", "--option", "pool=default"], "'default' is none of this user's pools: news"),
        (["set", "tim"], "nothing to change; give --sender, --pool, --option, --rate or --quota"),
        (["show", ""], "'' is no name for a user: it is empty"),
    ],
)
def test_what_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "postjet.toml").write_text("[pools.news]\n")
    result = CliRunner().invoke(app, arguments, obj=str(tmp_path / "postjet.toml"))
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
