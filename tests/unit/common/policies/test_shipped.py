"""conf/shaping.toml: every rule on the samples beside it, and on replies that were collected elsewhere."""

import json
import os
from pathlib import Path

import pytest

from common.config import Config
from common.policies import check, reading
from common.policies.outcome import Outcome
from common.policies.reading import Written
from common.policies.replies import ReplyRules, parse_sample
from common.policies.reply_rule import ReplyRule
from common.policies.rules import Provider

RULES = reading.shipped()
REPLIES = ReplyRules(RULES.replies)
CORPUS = Path(os.environ.get("POSTJET_CORPORA", "/work/shared/corpora")) / "replies/replies.jsonl"


def name(written: Written[Provider] | Written[ReplyRule]) -> str:
    return written.rule.name


@pytest.mark.parametrize("written", RULES.providers, ids=name)
def test_a_provider_on_its_samples(written: Written[Provider]) -> None:
    outcome = Outcome(RULES)
    assert written.rule.samples
    assert {outcome.provider("", [host]) for host in written.rule.samples} == {written.rule.name}
    assert written.rule.name not in {outcome.provider("", [host]) for host in written.rule.not_samples}


@pytest.mark.parametrize("written", RULES.replies, ids=name)
def test_a_reply_rule_on_its_samples(written: Written[ReplyRule]) -> None:
    rule = written.rule
    assert rule.samples
    for sample in rule.samples:
        assert [found.name for found in REPLIES.match(rule.provider, *parse_sample(sample))] == [rule.name]
    for sample in rule.not_samples:
        assert rule.name not in [found.name for found in REPLIES.match(rule.provider, *parse_sample(sample))]


def test_nothing_is_wrong_with_them() -> None:
    assert check.problems(RULES, Config()) == []


def test_each_has_its_line() -> None:
    written = [*RULES.providers, *RULES.policies, *RULES.replies]
    lines = (Path(reading.__file__).parents[2] / reading.SHIPPED).read_text().split("\n")
    headers = [lines[int(each.origin.removeprefix(f"{reading.SHIPPED}:")) - 1] for each in written]
    assert set(headers) == {"[[providers]]", "[[policies]]", "[[replies]]"}


def test_every_provider_has_a_policy_or_rule_and_the_other_way_round() -> None:
    providers = {written.rule.name for written in RULES.providers}
    assert {written.rule.provider for written in RULES.policies} == providers


@pytest.mark.skipif(not CORPUS.is_file(), reason="the corpora are not here")
def test_none_of_them_is_for_half_of_all_replies() -> None:
    replies = []
    for line in CORPUS.read_text().splitlines():
        row = json.loads(line)
        try:
            replies.append((row["coarse"], *parse_sample(row["text"])))
        except ValueError:
            replies.append((row["coarse"], 450, "", row["text"]))
    found = {rule.name: [reply for reply in replies if rule.matches(*reply[1:])] for rule in REPLIES.all}
    assert found["address-deferred"]
    assert {rule: len(some) for rule, some in found.items() if len(some) > 35} == {}
    # of what is wrong with one recipient or one mail nothing is concluded about the path
    one_mail = {"invalid_recipient", "inactive_mailbox", "mailbox_full", "message_too_big", "virus"}
    assert {rule: some for rule, some in found.items() if one_mail & {reply[0] for reply in some}} == {}
