"""Return paths: what a token says, and that nobody else can make one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common.addresses import MAX_LOCAL_PART, parse_mailbox
from common.ids import new_id
from common.verp import Token, Tokens

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
NOTIFY = ("", "NEVER", "SUCCESS", "FAILURE", "DELAY", "SUCCESS,FAILURE", "SUCCESS,FAILURE,DELAY")
_ALPHABET = "0123456789abcdefghijklmnopqrstuv"


@given(
    st.integers(1, 9999), st.sampled_from(NOTIFY), st.sampled_from(["", "FULL", "HDRS"]), st.floats(0, 4e9),
    st.booleans(),
)  # fmt: skip
def test_what_a_token_says(number: int, notify: str, ret: str, now: float, upper: bool) -> None:
    entry = make_entry(number=number, notify=notify, ret=ret)
    text = Tokens([KEY]).make(entry, now)
    assert len(text) <= MAX_LOCAL_PART
    assert str(parse_mailbox(f"{text}@example.com")) == f"{text}@example.com"
    token = Tokens([KEY]).read(text.upper() if upper else text)
    assert token == Token(entry.submission, number, int(now // 86_400), notify, ret == "HDRS")
    assert token.delivery == entry.id
    assert 0 <= token.age(now) < 86_400


@given(st.integers(0, 51), st.sampled_from(_ALPHABET))
def test_nothing_in_it_can_be_changed(place: int, character: str) -> None:
    text = Tokens([KEY]).make(make_entry(submission="01k81csut8tt9k6unns9"), 1.8e9)
    changed = text[:place] + character + text[place + 1 :]
    assert (Tokens([KEY]).read(changed) is not None) == (changed == text)


@given(st.text(max_size=80) | st.text(_ALPHABET, min_size=50, max_size=54))
def test_what_is_none(text: str) -> None:
    assert Tokens([KEY, OTHER]).read(text) is None


def test_the_address_is_not_in_it() -> None:
    text = Tokens([KEY]).make(make_entry("someone@example.com", sender="writer@example.org"), time.time())
    assert "someone" not in text
    assert "writer" not in text


def test_a_key_that_was_replaced() -> None:
    entry = make_entry(submission=new_id())
    old = Tokens([OTHER]).make(entry, 0)
    assert Tokens([KEY]).read(old) is None
    both = Tokens([KEY, OTHER])
    assert both.read(old)
    assert Tokens([KEY]).read(both.make(entry, 0))


@pytest.mark.parametrize("signature", ["0" * 24, "v" * 24])
def test_a_signature_that_is_wrong(signature: str) -> None:
    text = Tokens([KEY]).make(make_entry(), 0)
    assert Tokens([KEY]).read(text[:28] + signature) is None
