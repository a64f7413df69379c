"""Which delivery a mail that came back is about, and what the match is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common.recipients import hashed
from common.verp import Tokens
from dsn.history import Accepted, Delivery
from dsn.matching import How, Match, by_quoted, by_token, quoted, with_address
from dsn.parse import Complaint, Feedback, Kind, Original, Recipient, parse

TOKENS = Tokens([bytes(32)])
SENT = make_entry("who@remote.example")
TOKEN = TOKENS.make(SENT, 1.8e9)
BACK = make_entry("fbl@bounces.example.net")
ONE, TWO = Accepted("a" * 20, ("who@remote.example",)), Accepted("b" * 20, ("x@a.example", "who@remote.example"))


def feedback(kind: Kind = Kind.REPORT, **values: object) -> Feedback:
    return Feedback(kind, "test", **values)  # type: ignore[arg-type]


def test_by_the_address_it_came_to_whatever_it_says() -> None:
    other = TOKENS.make(make_entry(), 1.8e9)
    original = Original(fields={"x-postjet-id": (other,)})
    match = by_token(make_entry(f"{TOKEN}@bounces.example.net"), feedback(original=original), b"", TOKENS)
    assert match == Match(How.RETURN_PATH, TOKENS.read(TOKEN), SENT.id, SENT.submission)
    assert match.how.is_proof


@pytest.mark.parametrize(
    "found",
    [
        feedback(original=Original(fields={"x-postjet-id": (TOKEN.upper(),)})),
        feedback(original=Original(fields={"return-path": (f"<{TOKEN}@bounces.example.net>",)})),
        feedback(Kind.COMPLAINT, complaint=Complaint("abuse", mail_from=f"<{TOKEN}@bounces.example.net>")),
    ],
)
def test_by_a_token_in_a_field(found: Feedback) -> None:
    match = by_token(BACK, found, b"", TOKENS)
    assert match
    assert (match.how, match.delivery, match.how.is_proof) == (How.TOKEN, SENT.id, True)


def test_by_a_token_anywhere() -> None:
    others = b" ".join(TOKENS.make(make_entry(), 0)[:-1].encode() + b"_" for _ in range(5))
    match = by_token(BACK, feedback(), others + b"\r\n> Return-Path: <%b@x>" % TOKEN.upper().encode(), TOKENS)
    assert match
    assert match.delivery == SENT.id


def test_what_is_forged_is_no_match() -> None:
    forged = Tokens([bytes([1]) * 32]).make(SENT, 1.8e9)
    original = Original(fields={"x-postjet-id": (forged,)})
    assert by_token(BACK, feedback(original=original), forged.encode(), TOKENS) is None


@given(st.binary(max_size=300))
def test_anything_may_come_back(message: bytes) -> None:
    assert by_token(BACK, parse(message), message, TOKENS) is None


def test_by_message_id() -> None:
    named = feedback(recipients=(Recipient("WHO@remote.example", "failed"),))
    match = by_quoted(How.MESSAGE_ID, named, [TWO])
    assert match == Match(How.MESSAGE_ID, None, f"{TWO.submission}-2", TWO.submission)
    assert not match.how.is_proof
    assert by_quoted(How.MESSAGE_ID, named, [ONE, TWO]) is None  # nobody knows which
    assert by_quoted(How.MESSAGE_ID, named, []) is None


def test_a_message_id_and_no_recipient() -> None:
    redacted = feedback(Kind.COMPLAINT, complaint=Complaint("abuse"), about=("redacted",))
    how = How.MESSAGE_ID
    assert by_quoted(how, redacted, [ONE]) == Match(how, None, f"{ONE.submission}-1", ONE.submission)
    assert by_quoted(how, redacted, [TWO]) == Match(how, None, "", TWO.submission)


def test_an_envelope_id_and_another_recipient() -> None:
    named = feedback(recipients=(Recipient("else@remote.example", "failed"),))
    assert by_quoted(How.ENVELOPE_ID, named, [ONE]) is None
    assert by_quoted(How.MESSAGE_ID, named, [ONE])  # it was sent on to another address


def test_recipients_that_are_recorded_hashed() -> None:
    key = bytes(32)
    hidden = Accepted(TWO.submission, tuple(hashed(key, one) for one in TWO.recipients))
    named = feedback(recipients=(Recipient("<WHO@remote.example>", "failed"),))
    match = by_quoted(How.MESSAGE_ID, named, [hidden], key)
    assert match
    assert match.delivery == f"{TWO.submission}-2"
    known = Delivery(submission="s", delivery="s-2", recipient=hidden.recipients[1])
    assert with_address(known, named, key).recipient == "who@remote.example"
    stranger = feedback(recipients=(Recipient("other@remote.example", "failed"),))
    assert with_address(known, stranger, key) == known
    plain = Delivery(submission="s", delivery="s-2", recipient="x@a.example")
    assert with_address(plain, named, key) == with_address(plain, named, None) == plain


def test_few_are_asked_about() -> None:
    many = Original(message_ids=tuple(f"<{n}@x>" for n in range(9)), envelope_id="QQ 314")
    assert quoted(feedback(original=many)) == [
        (How.ENVELOPE_ID, "QQ 314"), *((How.MESSAGE_ID, f"<{n}@x>") for n in range(3))
    ]  # fmt: skip


@pytest.mark.parametrize("odd", ["<\ud800@x>", "<a\0@x>", "<\x1b@x>", f"<{'a' * 1000}@x>"])
def test_what_nobody_can_have_sent_is_not_asked_about(odd: str) -> None:
    found = feedback(original=Original(message_ids=(odd, "<1@x>"), envelope_id=odd))
    assert quoted(found) == [(How.MESSAGE_ID, "<1@x>")]


def test_half_a_letter_in_a_message_id() -> None:
    words = b"From: a@b.example\r\nContent-Type: text/plain; charset=utf-7\r\n\r\nmessage-id <+2AA-a@x.example>\r\n"
    for _, identifier in quoted(parse(words)):
        identifier.encode()
