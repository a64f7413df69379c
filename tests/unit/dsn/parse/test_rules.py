"""The rules of conf/feedback.toml."""

import re

import pytest

from dsn.parse.rules import Rule, group, rules

PLACES = {"subject", "from", "words"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule.what}-{rule.name}-{rule.where}")
def test_a_rule_matches_its_samples(rule: Rule) -> None:
    pattern = re.compile(rule.match, re.IGNORECASE | re.MULTILINE)
    assert [sample for sample in rule.samples if not pattern.search(sample)] == []
    assert [sample for sample in rule.not_samples if pattern.search(sample)] == []
    assert len(set(rule.samples)) >= 2, "no rule is for one text only"
    assert rule.not_samples


def test_all_groups_are_there() -> None:
    whats = {rule.what for rule in rules()}
    assert whats == {
        "failed",
        "delayed",
        "final",
        "daemon",
        "original",
        "recipient",
        "autoreply",
        "challenge",
        "unsubscribe",
    }
    assert {rule.where for rule in rules() if rule.what not in ("autoreply", "challenge", "unsubscribe")} <= PLACES


def test_the_name_of_the_rule_is_told() -> None:
    assert group("failed").search("subject", "failure notice") == "undeliverable"
    assert group("failed").search("subject", "Spring sale") == ""
    assert group("autoreply").in_headers({"precedence": ("bulk", "auto_reply")}) == "precedence"
    assert group("autoreply").search("no-such-field", "yes") == ""


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule.what}-{rule.name}-{rule.where}")
def test_names_are_unique(rule: Rule) -> None:
    same = [other for other in rules() if (other.what, other.name, other.where) == (rule.what, rule.name, rule.where)]
    assert same == [rule]
