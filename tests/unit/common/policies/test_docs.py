"""The examples of docs/how-to/policies.md."""

import re
from pathlib import Path

from common.config_file import load
from common.policies import check, reading
from common.policies.reply_rule import ReplyRule
from common.policies.rules import PolicyRule
from master.policy_commands import parse

TEXT = (Path(__file__).parents[4] / "docs/how-to/policies.md").read_text()


def test_the_examples_are_right(tmp_path: Path) -> None:
    file = tmp_path / "postjet.toml"
    file.write_text("\n".join(re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)))
    config, path = load(str(file), {})
    problems = check.problems(reading.shipped() + reading.of_config(config, path), config)
    assert (len(config.providers), len(config.policies), len(config.replies)) == (1, 2, 1)
    assert ["no pool" in problem.text for problem in problems] == [True]


def test_the_command_is_right() -> None:
    (arguments,) = re.findall(r"^postjet policy set slow (.*)$", TEXT, re.MULTILINE)
    assert PolicyRule.model_validate(parse(arguments.split())).rate


def test_every_key_and_action_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", TEXT)) | set(re.findall(r"^(\w+) = ", TEXT, re.MULTILINE))
    assert PolicyRule.model_fields.keys() - named == set()
    assert {field.alias or name for name, field in ReplyRule.model_fields.items()} - named == set()
