"""Rules with the place where each is written: the shipped ones, and those of the operator's configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Generic, TypeVar

from common import config_file
from common.classify.rule import ClassRule
from common.config import Config
from common.policies.reply_rule import ReplyRule
from common.policies.rules import PolicyRule, Provider
from common.section import Section
from common.toml_lines import array_lines

SHIPPED = "conf/shaping.toml"
DELIVERY = "[delivery]"


class Layer(IntEnum):
    """Who wrote a rule; the higher lies over the lower."""

    SHIPPED = 0
    """Postjet's own, and ``[delivery]``."""
    OPERATOR = 1
    KV = 2


Rule = TypeVar("Rule", Provider, PolicyRule, ReplyRule, ClassRule)


@dataclass(frozen=True, slots=True)
class Written(Generic[Rule]):
    """A rule and where it stands."""

    rule: Rule
    layer: Layer
    origin: str
    """``<file>:<line>``, ``KV <name>`` or ``[delivery]``."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules in the order they are written."""

    providers: tuple[Written[Provider], ...] = ()
    policies: tuple[Written[PolicyRule], ...] = ()
    replies: tuple[Written[ReplyRule], ...] = ()
    classes: tuple[Written[ClassRule], ...] = ()
    """The operator's; those shipped are in ``common/classify``."""

    def __add__(self, other: "Rules") -> "Rules":
        return Rules(
            self.providers + other.providers, self.policies + other.policies, self.replies + other.replies,
            self.classes + other.classes,
        )  # fmt: skip

    @property
    def count(self) -> int:
        """How many rules people wrote, ``[delivery]`` not counted."""
        policies = sum(written.origin != DELIVERY for written in self.policies)
        return len(self.providers) + policies + len(self.replies) + len(self.classes)


class Shaping(Section):
    """``conf/shaping.toml``."""

    providers: tuple[Provider, ...] = ()
    policies: tuple[PolicyRule, ...] = ()
    replies: tuple[ReplyRule, ...] = ()


def rules_of(written: Shaping | Config, text: str, file: str, layer: Layer) -> Rules:
    """The rules of a file whose text is ``text``."""
    lines = array_lines(text)

    def place(name: str, rules: Sequence[Rule]) -> tuple[Written[Rule], ...]:
        at = lines.get(name, [])
        # written as an inline array, or given by the environment: no line of its own
        origins = [f"{file}:{line}" for line in at] if len(at) == len(rules) else [file] * len(rules)
        return tuple(Written(rule, layer, origin) for rule, origin in zip(rules, origins, strict=True))

    return Rules(
        place("providers", written.providers),
        place("policies", written.policies),
        place("replies", written.replies),
        place("classes", written.classes if isinstance(written, Config) else ()),
    )


@cache
def shipped() -> Rules:
    """The rules of ``conf/shaping.toml``."""
    text = (files("conf") / "shaping.toml").read_text("utf-8")
    shaping = config_file.validated(Shaping, config_file.parse(text, SHIPPED), text, SHIPPED)
    return rules_of(shaping, text, SHIPPED, Layer.SHIPPED)


def of_config(config: Config, path: Path | None) -> Rules:
    """``[delivery]`` as a rule, and the operator's rules in the file that the configuration was read from."""
    general = {key: getattr(config.delivery, key) for key in PolicyRule.model_fields if hasattr(config.delivery, key)}
    delivery = Written(PolicyRule.model_construct(**general), Layer.SHIPPED, DELIVERY)
    text = path.read_text("utf-8") if path else ""
    return Rules(policies=(delivery,)) + rules_of(config, text, str(path or "environment"), Layer.OPERATOR)
