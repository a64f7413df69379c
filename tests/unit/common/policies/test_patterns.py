import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.policies.patterns import covers, matcher, parse_pattern

names = st.text("ab.-", min_size=1, max_size=8)
patterns = st.text("ab.-*", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        ("mx.example.org", "mx.example.org", True),
        ("mx.example.org", "mxxexample.org", False),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "notexample.org", False),
        ("*.example.org", "a.example.org.net", False),
        ("mx*.example.org", "mx12.example.org", True),
        ("mx*.example.org", "a.mx12.example.org", False),
        ("*-in.*.example.org", "smtp-in.eu.example.org", True),
        ("*", "anything", True),
    ],
)
def test_patterns(pattern: str, name: str, matched: bool) -> None:
    assert matcher([pattern])(name) is matched


def test_none_matches_nothing() -> None:
    assert not matcher([])("a.example")


@given(st.lists(patterns, max_size=3), names)
def test_a_star_is_any_characters(some: list[str], name: str) -> None:
    assert matcher(some)(name) == any(fnmatch.fnmatchcase(name, pattern) for pattern in some)


@given(patterns, patterns, names)
def test_what_is_covered_matches(wide: str, narrow: str, name: str) -> None:
    if covers(wide, narrow) and matcher([narrow])(name):
        assert matcher([wide])(name)


@given(patterns)
def test_a_pattern_covers_itself(pattern: str) -> None:
    assert covers(pattern, pattern)
    assert covers("*", pattern)


def test_covers() -> None:
    assert covers("*.outlook.com", "*.olc.protection.outlook.com")
    assert not covers("*.olc.protection.outlook.com", "*.outlook.com")
    assert not covers("mx.example.org", "*.example.org")
    assert not covers("mx.example.org", "mx*.example.org")


def test_the_normal_form() -> None:
    assert parse_pattern("*.Bücher.Example") == "*.xn--bcher-kva.example"
    assert parse_pattern("MX*.Example.ORG") == "mx*.example.org"
    assert parse_pattern("*") == "*"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*.kpnmail.nl.", "'*.kpnmail.nl.' ends in a dot and would match nothing; write '*.kpnmail.nl'"),
        (".example.org", "'.example.org' begins with a dot and would match nothing; write '*.example.org'"),
        ("a b.org", "'a b.org' is no name of a host or domain"),
        ("a..org", "is no name"),
        ("", "is no name"),
        ("user@example.org", "is no name"),
        ("[192.0.2.1]", "is no name"),
    ],
)
def test_what_could_never_match_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_pattern(text)


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        pattern = parse_pattern(text)
    except ValueError:
        return
    assert parse_pattern(pattern) == pattern
    matcher([pattern])("a.example")
