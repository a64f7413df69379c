"""Tokens of unsubscribe links: they come back as they were made, and nobody else makes one."""

import base64

import msgpack
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common.unsubscribe import Click, Clicks, Links

KEY = bytes(range(32))
CLICKS = Clicks(KEY)
CLICK = Click("01k804kgf54oikkgd218-1", "news@s.example", "bob@x.example", "default", "spring")


@given(st.builds(Click, *[st.text(max_size=60)] * 6))
def test_a_token_says_what_went_into_it(click: Click) -> None:
    token = CLICKS.make(click)
    assert CLICKS.read(token) == click
    assert CLICKS.make(click) == token
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.one_of(st.text(max_size=300), st.binary(max_size=200).map(lambda b: base64.urlsafe_b64encode(b).decode())))
def test_what_is_no_token(text: str) -> None:
    assert CLICKS.read(text) is None


@given(st.integers(0, 1000), st.integers(1, 255))
def test_a_changed_token_is_none(place: int, flip: int) -> None:
    sealed = bytearray(base64.urlsafe_b64decode(CLICKS.make(CLICK) + "=="))
    sealed[place % len(sealed)] ^= flip
    assert CLICKS.read(base64.urlsafe_b64encode(sealed).decode().rstrip("=")) is None


def test_another_key_reads_nothing() -> None:
    assert Clicks(bytes(32)).read(CLICKS.make(CLICK)) is None


def test_mail_that_names_no_webhook_has_the_token_it_always_had() -> None:
    before = msgpack.packb(("01k804kgf54oikkgd218-1", "news@s.example", "bob@x.example", "default", "spring"))
    sealed = base64.urlsafe_b64encode(AESSIV(KEY).encrypt(before, [b"postjet unsubscribe 1"]))
    assert CLICKS.make(CLICK) == sealed.decode().rstrip("=")  # so processes of the last version read it, too


def test_it_names_nobody() -> None:
    sealed = base64.urlsafe_b64decode(CLICKS.make(CLICK) + "==")
    assert b"bob" not in sealed
    assert b"news" not in sealed


@pytest.mark.parametrize("url", ["https://news.example", "https://news.example/"])
def test_fields(url: str) -> None:
    entry = make_entry("bob@x.example", tags=("spring",), webhook="crm")
    fields = Links(url, KEY).fields(entry, b"From: a@s.example\r\n\r\nList-Unsubscribe: no field\r\n").decode()
    first, second, end = fields.split("\r\n")
    token = first.removeprefix("List-Unsubscribe: <https://news.example/u/").removesuffix(">")
    assert CLICKS.read(token) == Click(entry.id, "s@sender.example", "bob@x.example", "default", "spring", "crm")
    assert (second, end) == ("List-Unsubscribe-Post: List-Unsubscribe=One-Click", "")


def test_mail_of_the_null_sender_has_no_link() -> None:
    assert Links("https://news.example", KEY).fields(make_entry(sender=""), b"From: a@s.example\r\n\r\nx\r\n") == b""


@pytest.mark.parametrize("name", ["List-Unsubscribe", "list-unsubscribe "])
def test_a_link_of_the_senders_own_stays_alone(name: str) -> None:
    message = f"From: a@s.example\r\n{name}: <https://s.example/out>\r\n\r\nx\r\n".encode()
    assert Links("https://news.example", KEY).fields(make_entry(), message) == b""
