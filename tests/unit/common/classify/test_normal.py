"""What differs from one reply to the next is taken out; what tells is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.classify.normal import MAX_TEXT, normal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<Ann.B@Example.ORG>:  User unknown", "<@>: user unknown"),
        ("Recipient address rejected (ann@example.org)", "recipient address rejected (@)"),
        ("550-5.7.1 Blocked\n550 5.7.1 really", "blocked really"),
        ("no such user (#5.1.1)", "no such user"),
        ("[192.0.2.1] at 12:30:01.5Z", "[ip] at #"),
        ("2001:db8::1 listed", "ip listed"),
        ("id d2e1a72fcca58-7248b3f 1234567", "id # #"),
        ("[TSS04] IB504 OFR_103 RL000001 4.7.1", "[tss04] ib504 ofr 103 rl000001 4.7.1"),
        ("bo\u00eete pleine, empf\u00e4nger, doesn\u2019t", "boite pleine, empfanger, does not"),
        ("I can't, cannot, DON'T and wouldnt", "i can not, can not, do not and would not"),
        ("bo\u00c3\u00aete", "boite"),
        ("Kullan\u0131c\u0131 bulunamad\u0131", "kullanici bulunamadi"),
        ("\u4e0d\u5b58\u5728", "\u4e0d\u5b58\u5728"),
    ],
)
def test_normal(text: str, expected: str) -> None:
    assert normal(text) == expected


def test_its_length_is_bounded() -> None:
    assert len(normal("a " * MAX_TEXT)) <= MAX_TEXT


@given(st.text())
def test_any_text(text: str) -> None:
    assert normal(text) == " ".join(normal(text).split())
