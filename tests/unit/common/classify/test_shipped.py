"""conf/classes.toml: every rule on the samples beside it, and on those of all the others."""

from pathlib import Path

import pytest

from common.classify import check, classes, reading
from common.classify.classifier import Facts
from common.classify.rule import ClassRule
from common.policies.reading import Written

CLASSIFIER = reading.classifier()
ROOT = Path(reading.__file__).parents[2]


def name(written: Written[ClassRule]) -> str:
    return written.rule.name


@pytest.mark.parametrize("written", reading.shipped(), ids=name)
def test_a_rule_on_its_samples(written: Written[ClassRule]) -> None:
    for text in written.rule.samples:
        sample = check.Sample(written, text)
        verdict = CLASSIFIER.classify(*sample.facts[:2], sample.said, *sample.facts[2:])
        assert (verdict.rule, verdict.origin, verdict.bounce_class) == (
            written.rule.name, written.origin, written.rule.class_,
        )  # fmt: skip


def test_nothing_is_wrong_with_them() -> None:
    assert list(check.problems((), CLASSIFIER)) == []


def test_none_is_for_one_reply_alone() -> None:
    assert [one for one in check.reach(CLASSIFIER) if one.matches < 2 or one.decides < 2] == []


def test_each_has_its_line() -> None:
    lines = (ROOT / reading.SHIPPED).read_text().split("\n")
    headers = {lines[int(one.origin.removeprefix(f"{reading.SHIPPED}:")) - 1] for one in reading.shipped()}
    assert headers == {"[[classes]]"}


def test_every_class_has_a_rule() -> None:
    assert {one.rule.class_ for one in reading.shipped()} == classes.BY_NAME.keys() - {classes.UNCLASSIFIED}


def test_no_word_is_left_unexpanded() -> None:
    found, _ = reading._shipped()
    names = [f"{{{word}}}" for word in found.words]
    texts = [text for one in reading.shipped() for text in (*one.rule.text, *one.rule.not_text)]
    assert all(any(word in text for text in texts) or any(word in other for other in found.words.values())
               for word in names)  # fmt: skip
    assert [text for text in texts if "{" in text.translate(str.maketrans("", "", "0123456789,")).replace("{}", "")
            and not any(word in text for word in names)] == []  # fmt: skip


def test_hard_is_what_says_that_no_mail_will_ever_arrive() -> None:
    hard = {one.name for one in classes.CLASSES if one.type == "hard"}
    assert hard == {"invalid-recipient", "inactive-mailbox", "bad-domain", "moved"}
    typed = {one.rule.name for one in reading.shipped() if one.rule.type == "hard"}
    assert typed == {"exchange-unknown-recipient", "yahoo-no-account"}  # whoever says it; others only weaken it


def test_facts_of_a_sample() -> None:
    written = next(one for one in reading.shipped() if one.rule.name == "own-source-address")
    assert check.Sample(written, written.rule.samples[0]).facts == Facts(451, "4.4.1", "connect", "")
