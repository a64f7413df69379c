import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.xtext import XtextError, decode, encode


@given(st.binary(max_size=200))
def test_what_is_encoded_comes_back(octets: bytes) -> None:
    text = encode(octets)
    assert decode(text) == octets
    assert re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", text)


@given(st.text(max_size=20) | st.text("+=0123456789ABCDEFabcdef!~", max_size=12))
def test_a_text_is_xtext_or_malformed(text: str) -> None:
    """It decodes to what encodes to it, but for characters that need not have been quoted; or it raises."""
    try:
        octets = decode(text)
    except XtextError:
        assert re.search(r"[^!-~]|=|\+(?![0-9A-F]{2})", text)
    else:
        assert decode(encode(octets)) == octets


@pytest.mark.parametrize(
    ("octets", "text"),
    [(b"", ""), (b"a@b.example", "a@b.example"), (b"a+b=c d", "a+2Bb+3Dc+20d"), (b"\x00\xff\n", "+00+FF+0A")],
)
def test_examples(octets: bytes, text: str) -> None:
    assert encode(octets) == text
    assert decode(text) == octets


@pytest.mark.parametrize("text", ["a b", "a=b", "a+2b", "a+2", "+", "a+zz", "é", "a\n", "\x7f", "+2B+", "a\r\n"])
def test_malformed(text: str) -> None:
    with pytest.raises(XtextError):
        decode(text)


def test_what_need_not_be_quoted_may_be() -> None:
    assert decode("+41+42") == b"AB"
