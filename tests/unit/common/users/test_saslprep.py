"""SASLprep by the examples of RFC 4013 section 3, and what passwords are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.users.saslprep import saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b\u3000c", "a b c"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
    ],
)
def test_prepared(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\u0007", "does not allow"),
        ("\u0627\u0031", "right-to-left"),
        ("\u0627a\u0628", "right-to-left"),
        ("", "empty"),
        ("\u00ad", "empty"),
        ("a\0b", "does not allow"),
        ("a\nb", "does not allow"),
        ("\udcff", "does not allow"),  # what a terminal gives for a byte that is not UTF-8
        ("\u0221", "does not allow"),  # unassigned in Unicode 3.2
        ("\ue000", "does not allow"),
        ("\u200e", "does not allow"),
        ("\U000e0001", "does not allow"),
        ("\ufff9", "does not allow"),
        ("\u2ff0", "does not allow"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        saslprep(text)


@given(st.text())
def test_any_text_is_prepared_once(text: str) -> None:
    try:
        prepared = saslprep(text)
    except ValueError:
        return
    prepared.encode()
    assert not set(prepared) & set("\0\r\n")
    assert "".join(saslprep(prepared).split()) == "".join(prepared.split())
