"""The rules of conf/feedback.toml: how mail systems and people word what came back."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from dsn.parse.result import Fields


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, where it is looked for, what it tells, and texts that it has to match."""

    name: str
    what: str
    """What it tells: failed, delayed, daemon, autoreply, challenge, unsubscribe …"""
    where: str
    """``subject``, ``from``, ``words``; else the name of a header field."""
    match: str
    samples: tuple[str, ...]
    not_samples: tuple[str, ...] = ()


class Group:
    """Rules that tell the same, one pattern for each place."""

    def __init__(self, rules: list[Rule]) -> None:
        """``rules`` tell the same thing."""
        self._names = {f"r{i}": rule.name for i, rule in enumerate(rules)}
        by_place: dict[str, list[str]] = {}
        for i, rule in enumerate(rules):
            by_place.setdefault(rule.where, []).append(f"(?P<r{i}>{rule.match})")
        flags = re.IGNORECASE | re.MULTILINE
        self._patterns = {where: re.compile("|".join(parts), flags) for where, parts in by_place.items()}
        self.headers = [where for where in self._patterns if where not in ("subject", "from", "words")]

    def pattern(self, where: str) -> re.Pattern[str]:
        """All patterns of a place as one."""
        return self._patterns[where]

    def search(self, where: str, text: str) -> str:
        """The name of the rule that matches first in a text; ``""`` for none."""
        pattern = self._patterns.get(where)
        match = pattern.search(text) if pattern else None
        return self._names[match.lastgroup] if match and match.lastgroup else ""

    def in_headers(self, fields: Fields) -> str:
        """The name of a rule that matches a header field; ``""`` for none."""
        for where in self.headers:
            for value in fields.get(where, ()):
                if name := self.search(where, value):
                    return name
        return ""


@cache
def rules() -> list[Rule]:
    """All, as they are written. Raises ValueError, TypeError and KeyError for a file that is wrong."""
    tables = tomllib.loads(files("conf").joinpath("feedback.toml").read_text(encoding="utf-8"))["rules"]
    return [
        Rule(
            name=table["name"], what=table["what"], where=table["where"].lower(), match=table["match"],
            samples=tuple(table["samples"]), not_samples=tuple(table.get("not_samples", ())),
        )
        for table in tables
    ]  # fmt: skip


@cache
def group(what: str) -> Group:
    """The rules that tell one thing."""
    return Group([rule for rule in rules() if rule.what == what])
