"""``conf/classes.toml``, and classifiers of it with the operator's rules over it."""

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Annotated

from pydantic import AfterValidator, Field

from common import config_file
from common.classify.classifier import Classifier, Verdict
from common.classify.rule import ClassRule
from common.policies.reading import Layer, Written
from common.section import Section
from common.toml_lines import array_lines

SHIPPED = "conf/classes.toml"


def _expression(text: str) -> str:
    re.compile(text)
    return text


class Shipped(Section):
    """``conf/classes.toml``."""

    ignored: tuple[Annotated[str, AfterValidator(_expression)], ...] = ()
    """What many replies say beside the cause; taken out of a text first."""
    words: dict[str, str] = Field({})
    """What stands for ``{name}`` in expressions."""
    classes: tuple[ClassRule, ...] = ()


@cache
def _shipped() -> tuple[Shipped, tuple[Written[ClassRule], ...]]:
    text = (files("conf") / "classes.toml").read_text("utf-8")
    found = config_file.validated(Shipped, config_file.parse(text, SHIPPED), text, SHIPPED)
    lines = array_lines(text)["classes"]
    rules = zip(found.classes, lines, strict=True)
    return found, tuple(Written(rule, Layer.SHIPPED, f"{SHIPPED}:{line}") for rule, line in rules)


def shipped() -> tuple[Written[ClassRule], ...]:
    """The rules of ``conf/classes.toml``."""
    return _shipped()[1]


def classifier(operators: tuple[Written[ClassRule], ...] = ()) -> Classifier:
    """The shipped rules, and these over them. Made once."""
    return _made(operators)


@lru_cache(maxsize=2)
def _made(operators: tuple[Written[ClassRule], ...]) -> Classifier:
    found, rules = _shipped()
    return Classifier(rules + operators, found.words, found.ignored)


def classify(
    code: int, enhanced_code: str, text: str, phase: str = "", provider: str = "", reported: str = ""
) -> Verdict:
    """The class by the shipped rules alone; see ``Classifier.classify``."""
    return classifier().classify(code, enhanced_code, text, phase, provider, reported)
