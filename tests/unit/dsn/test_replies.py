"""What people answer is forwarded and answered, and nothing of it makes a loop (RFC 3834)."""

import email
import time
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common.broker import Broker
from common.feedback import AutoReply
from common.suppression import store
from dsn.answered import claim
from dsn.history import Delivery
from dsn.parse import Feedback, Kind
from dsn.replies import answer, answer_to, forwarded, is_forwarded

REPLY = b"From: Bob <bob@x.example>\r\nSubject: Re: News\r\nMessage-ID: <1@x.example>\r\n\r\nThanks!\r\n"
KNOWN = Delivery(submission="01k804kgf54oikkgd218", delivery="01k804kgf54oikkgd218-1", pool="bulk")
OWN = ("bounces.example", "mta.example")
SETTINGS = AutoReply(text="file", sender="news@s.example")


def to_answer(header: str = "", sender: str = "bob@x.example", kind: Kind = Kind.REPLY) -> str:
    message = header.encode() + REPLY
    return answer_to(make_entry(sender=sender), Feedback(kind, "x"), message, OWN)


def test_a_person_is_answered() -> None:
    assert to_answer() == "bob@x.example"
    assert to_answer("Auto-Submitted: no\r\n") == "bob@x.example"


@pytest.mark.parametrize(
    "sender",
    [
        "", "MAILER-DAEMON@x.example", "no-reply@x.example", "noreply-news@x.example", "owner-list@x.example",
        "list-request@x.example", "list-bounces@x.example", "bounce+7@x.example", "x@bounces.example", "x@MTA.example",
        "postmaster@x.example",
    ],
)  # fmt: skip
def test_programs_are_not_answered(sender: str) -> None:
    assert to_answer(sender=sender) == ""


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied", "auto-submitted: Auto-Generated; x=y", "Precedence: bulk", "Precedence: LIST",
        "List-Id: <l.x.example>", "list-unsubscribe: <mailto:x>", "X-Auto-Response-Suppress: All", "X-Loop: x",
        "X-Postjet-Returned: 01k804kgf54oikkgd218-1", "Feedback-ID: a:b",
    ],
)  # fmt: skip
def test_what_was_sent_automatically_is_not_answered(header: str) -> None:
    assert to_answer(f"{header}\r\n") == ""


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.REPLY, Kind.OTHER)])
def test_only_people_are_answered_and_forwarded(kind: Kind) -> None:
    assert to_answer(kind=kind) == ""
    assert not is_forwarded(Feedback(kind, "x"), REPLY, "ann@s.example", OWN[0])


def test_an_answer() -> None:
    entry = make_entry("token@bounces.example", sender="bob@x.example", message_id="<1@x.example>")
    template = "Dear $sender,\n\nthanks for \"$subject\". $unknown\n"
    made, message = answer(SETTINGS, template, entry, KNOWN, REPLY, "mta.example", time.time(), 2e9)
    assert (made.sender, made.recipient, made.domain, made.pool) == ("", "bob@x.example", "x.example", "bulk")
    assert made.submission != entry.submission
    assert made.meta["report_of"] == KNOWN.delivery
    read = email.message_from_bytes(message, policy=default)
    assert (read["From"], read["To"], read["Subject"]) == ("news@s.example", "bob@x.example", "Auto: Re: News")
    assert (read["Auto-Submitted"], read["In-Reply-To"]) == ("auto-replied", "<1@x.example>")
    assert read.get_content().splitlines() == ["Dear bob@x.example,", "", "thanks for \"Re: News\". $unknown"]
    again = make_entry("token@bounces.example", sender="", submission=entry.submission)
    assert answer_to(again, Feedback(Kind.REPLY, "x"), message, OWN) == ""
    assert answer_to(entry, Feedback(Kind.REPLY, "x"), message, OWN) == ""


@pytest.mark.parametrize(
    "word",
    [
        "=?utf-8?q?a=0D=0ABcc:_victim@v.example?=", "=?utf-8?q?a=0D=0A=0D=0ABuy_here?=", "=?utf-8?q?a=0Ab?=",
        "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D0ABcc:_b=40x.example=3F=3D?=", "=?utf-7?q?+2AA-?=", "=?utf-8?q?a=00b?=",
    ],
)  # fmt: skip
def test_encoded_words_of_a_stranger_bring_in_nothing(word: str) -> None:
    reply = f"Subject: {word} {word}\r\nMessage-ID: <{word}@x.example>\r\n\r\nhello\r\n".encode()
    entry = make_entry("token@bounces.example", sender="bob@x.example")
    _, message = answer(SETTINGS, "Thanks.", entry, None, reply, "mta.example", 1.8e9, 2e9)
    head, _, body = message.partition(b"\r\n\r\n")
    assert body == b"Thanks.\r\n"
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\0" not in message
    read = email.message_from_bytes(message, policy=default)
    assert "Bcc" not in read
    assert all(text.isprintable() for text in read.values())


def test_a_subject_is_answered_in_its_letters() -> None:
    reply = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"
    entry = make_entry("token@bounces.example", sender="bob@x.example")
    _, message = answer(SETTINGS, "On $subject:", entry, None, reply, "mta.example", 1.8e9, 2e9)
    read = email.message_from_bytes(message, policy=default)
    assert (read["Subject"], read.get_content().strip()) == ("Auto: Grüße", "On Grüße:")


def test_senders_that_no_header_can_name() -> None:
    assert to_answer(sender="=?utf-8?q?=0d=0aBcc?=@x.example") == ""
    entry = make_entry("token@bounces.example", sender="jürgen@x.example")
    _, message = answer(SETTINGS, "Thanks.", entry, None, REPLY, "mta.example", 1.8e9, 2e9)
    assert "To: jürgen@x.example\r\n".encode() in message


@given(st.binary(max_size=300), st.text(max_size=60))
def test_whatever_is_answered_the_header_is_ours(rest: bytes, subject: str) -> None:
    reply = b"Subject: " + subject.encode("utf-8", "replace") + b"\r\nMessage-ID: " + rest + b"\r\n\r\n" + rest
    entry = make_entry("token@bounces.example", sender="bob@x.example")
    _, message = answer(SETTINGS, "$subject", entry, None, reply, "mta.example", 1.8e9, 2e9)
    read = email.message_from_bytes(message)
    names = [name.lower() for name in read]
    assert len(names) == len(set(names))
    assert read["To"] == "bob@x.example"
    assert set(names) <= {
        "from", "to", "subject", "date", "message-id", "in-reply-to", "references", "auto-submitted",
        "x-auto-response-suppress", "content-type", "content-transfer-encoding", "mime-version",
    }  # fmt: skip


@given(st.binary(max_size=300))
def test_any_bytes_can_be_looked_at(message: bytes) -> None:
    answer_to(make_entry(sender="bob@x.example"), Feedback(Kind.REPLY, "x"), message, OWN)
    is_forwarded(Feedback(Kind.REPLY, "x"), message, "ann@s.example", OWN[0])


def test_what_is_forwarded_is_not_forwarded_again() -> None:
    entry = make_entry("token@bounces.example", sender="bob@x.example")
    reply = Feedback(Kind.REPLY, "x")
    assert is_forwarded(reply, REPLY, "ann@s.example", OWN[0])
    assert not is_forwarded(reply, REPLY, "", OWN[0])
    made, message = forwarded(entry, KNOWN, "ann@s.example", REPLY, OWN[0], 2e9)
    assert message == b"X-Postjet-Returned: 01k804kgf54oikkgd218-1@bounces.example\r\n" + REPLY
    assert (made.sender, made.recipient, made.size) == ("", "ann@s.example", len(message))
    assert not is_forwarded(reply, message, "ann@s.example", OWN[0])
    assert is_forwarded(reply, message, "ann@s.example", "bounces.other.example")
    unmatched, _ = forwarded(entry, None, "ann@s.example", REPLY, OWN[0], 2e9)
    assert unmatched.submission == made.submission


async def test_one_answer_for_an_address_in_so_long(broker: Broker) -> None:
    assert await claim(broker, "bob@x.example", 3600, "a-1")
    assert await claim(broker, "Bob@X.example", 3600, "a-1")
    assert not await claim(broker, "bob@x.example", 3600, "a-2")
    assert await claim(broker, "ann@x.example", 3600, "a-2")
    assert not [subject for subject in await broker.subjects(store.STREAM, ">") if "bob" in subject]
    assert [one async for one in store.every(broker)] == []
