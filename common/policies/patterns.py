"""Patterns of host and domain names: ``mx1.example.org``, ``*.example.org``, ``mx*.example.org``, ``*``."""

import re
from collections.abc import Callable, Iterable

from common.addresses import AddressError, normal_domain

_PATTERN = re.compile(r"[a-z0-9*_-]+(\.[a-z0-9*_-]+)*")


def parse_pattern(text: str) -> str:
    """A pattern in its normal form: lower case, A-labels. Raises ValueError."""
    if text.endswith("."):
        raise ValueError(f"{text!r} ends in a dot and would match nothing; write {text.rstrip('.')!r}")
    if text.startswith("."):
        raise ValueError(f"{text!r} begins with a dot and would match nothing; write '*{text}'")
    try:
        labels = [label if label.isascii() else normal_domain(label) for label in text.split(".")]
    except AddressError:
        labels = [""]
    pattern = ".".join(labels).lower()
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(f"{text!r} is no name of a host or domain, nor a pattern such as *.example.org")
    return pattern


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A test whether a name (lower case, no dot at its end) matches one of them; ``*`` stands for any characters."""
    exact = frozenset(pattern for pattern in patterns if "*" not in pattern)
    endings = tuple(pattern[1:] for pattern in patterns if pattern[0] == "*" and "*" not in pattern[1:])
    others = [p for p in patterns if p not in exact and not (p[0] == "*" and p[1:] in endings)]
    expression = re.compile("|".join(".*".join(map(re.escape, p.split("*"))) for p in others)) if others else None

    def matches(name: str) -> bool:
        if name in exact or (endings and name.endswith(endings)):
            return True
        return expression is not None and expression.fullmatch(name) is not None

    return matches


def covers(wide: str, narrow: str) -> bool:
    """Whether every name that matches ``narrow`` matches ``wide`` too."""
    # a character that no pattern can hold stands for whatever the star takes
    return matcher([wide])(narrow.replace("*", "~"))
