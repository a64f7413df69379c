"""The operator's rules: how they are read, what is wrong with them, and the examples of docs/how-to/bounces.md."""

import re
from pathlib import Path

import pytest

from common.classify.rule import ClassRule
from common.config import Config
from common.config_file import load
from common.errors import ConfigError
from common.policies import check, reading
from common.policies.policies import Policies

DOCS = (Path(__file__).parents[4] / "docs/how-to/bounces.md").read_text()
RULE = "[[classes]]\nname = 'a'\nclass = 'content'\ntext = 'gloop'\n"
SAMPLES = "samples = ['550 Gloop', '550 gloop, sorry']\n"


def written(tmp_path: Path, text: str) -> tuple[Config, Path | None]:
    file = tmp_path / "postjet.toml"
    file.write_text(text)
    return load(str(file), {})


def problems(tmp_path: Path, text: str) -> list[str]:
    config, path = written(tmp_path, text)
    rules = reading.shipped() + reading.of_config(config, path)
    found = check.problems(rules, config) + check.of_classes(rules)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in found]


def test_the_examples_are_right(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    assert problems(tmp_path, text + "[[providers]]\nname = 'example'\nmx = 'mx.example.net'\n") == []


def test_every_key_is_named() -> None:
    named = set(re.findall(r"^(\w+) = ", DOCS, re.MULTILINE))
    assert {field.alias or name for name, field in ClassRule.model_fields.items()} == named


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RULE, "postjet.toml:1: class a: has not 2 samples that differ"),
        (RULE + "samples = ['550 Gloop 1234567', '550 gloop 7654321']", "class a: has not 2 samples that differ"),
        (RULE + "samples = ['550 Gloop', '550 Nothing']", "class a: sample '550 Nothing' is not matched"),
        (RULE + SAMPLES + "not_samples = '550 no gloop'", "'550 no gloop' is matched, though not_samples has it"),
        (
            RULE + SAMPLES + RULE.replace("'a'", "'b'") + SAMPLES,  # the first always matches before it
            "postjet.toml:6: class b: sample '550 Gloop' is taken by a (postjet.toml:1)",
        ),
        (RULE + SAMPLES + RULE + SAMPLES, "postjet.toml:6: class a: has the name of the one at postjet.toml:1"),
        ("[[classes]]\nname = 'zzz'\nclass = 'none'", "class zzz: switches nothing off: no shipped rule has that name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    found = problems(tmp_path, text)
    assert [line for line in found if said in line], found


@pytest.mark.parametrize(
    "text",
    [
        RULE + SAMPLES,
        "[[classes]]\nname = 'virus'\nclass = 'none'",
        RULE.replace("'a'", "'virus'") + SAMPLES,  # in place of the shipped one
        # a wider rule of the operator's may take what the shipped ones are for
        RULE.replace("gloop", "virus") + "samples = ['550 virus', '550 Virus found']",
    ],
)
def test_what_is_right(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RULE.replace("content", "contents"), "'contents' is no class; there are invalid-recipient, "),
        (RULE.replace("gloop", "(?=x)"), "'(?=x)' is no regular expression of RE2, which has no (?= (?< \\1: "),
        ("[[classes]]\nname = 'a'\nclass = 'content'", "classes[0].text: without phase, code, enhanced"),
        (RULE + "enhanced = '2.1.5'", "'2.1.5' is no enhanced status code; write such as 5.1.1"),
        (RULE + "code = '250'", "'250' is no code of a refusal"),
        (RULE + "type = 'medium'", "classes[0].type: "),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        written(tmp_path, text)
    assert said in str(refused.value)
    assert "postjet.toml:1: " in str(refused.value)


def test_in_force_with_their_place(tmp_path: Path) -> None:
    policies = Policies.load(*written(tmp_path, "\n" + RULE))
    verdict = policies.classes.classify(550, "", "Gloop")
    assert (verdict.bounce_class, verdict.rule, verdict.origin) == ("content", "a", f"{tmp_path}/postjet.toml:2")


def test_read_again_when_the_file_changes(tmp_path: Path) -> None:
    policies = Policies.load(*written(tmp_path, RULE))
    (tmp_path / "postjet.toml").write_text(RULE.replace("gloop", "wibble"))
    assert policies._reread()
    assert [policies.classes.classify(550, "", text).rule for text in ("gloop", "wibble")] == ["", "a"]
