"""The state machine by itself; whole conversations are in tests/dialogs."""

from dataclasses import replace
from random import Random

import pytest
import structlog
from dialogue_support import Driven, context
from hypothesis import given
from hypothesis import strategies as st

from common import codes
from common.codes import NOT_HTTP, START_DATA, Reply
from common.config import Config
from common.entry import Entry
from common.event import Event
from common.listener import Listener
from common.users.users import Users
from smtpd_ingress.actions import Queue
from smtpd_ingress.context import Context
from smtpd_ingress.dialogue import Dialogue
from smtpd_ingress.logins import Logins
from smtpd_ingress.message import most_read
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.sasl import BAD_CREDENTIALS
from smtpd_ingress.session import MAX_ERRORS, MAX_REFUSED
from tests.fuzz.grammar import session


async def submit(entries: list[Entry], content: bytes, row: Event) -> None:
    raise AssertionError("a dialogue queues nothing by itself")


def dialogue(rejections: list[Rejection] | None = None, client: str = "127.0.0.1") -> Dialogue:
    rejected = [] if rejections is None else rejections
    return Dialogue(Context.of(Config(hostname="mta1.example.net"), Listener(), submit, rejected.append), client)


def say(to: Dialogue, *lines: str) -> Reply:
    """The last reply."""
    return [reply(to, line.encode() + b"\r\n") for line in lines][-1]


def reply(to: Dialogue, line: bytes) -> Reply:
    to.feed(line)
    answer = to.next()
    assert isinstance(answer, Reply)
    return answer


START_LINES = b"EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n"
START = ("EHLO c.example", "MAIL FROM:<a@example.org>")


@pytest.mark.parametrize(("client", "code"), [("127.9.9.9", 250), ("::1", 250), ("10.0.0.1", 550), ("2001::1", 550)])
def test_networks(client: str, code: int) -> None:
    assert say(dialogue(client=client), *START, "RCPT TO:<b@example.com>").code == code


def test_rejections_say_who_what_and_why() -> None:
    rejections: list[Rejection] = []
    stranger = dialogue(rejections, "203.0.113.9")
    with structlog.testing.capture_logs() as logs:
        say(stranger, *START, "RCPT TO:<b@example.com>")
    assert rejections == [
        Rejection(
            client_address="203.0.113.9", interface="relay", phase="rcpt", code=550, enhanced="5.7.1",
            text="<b@example.com>: relaying denied for client [203.0.113.9]",
            sender="a@example.org", recipient="b@example.com",
        )
    ]  # fmt: skip
    assert [entry["event"] for entry in logs] == [
        "NOQUEUE: reject: RCPT from [203.0.113.9]: 550 5.7.1 <b@example.com>: relaying denied for client "
        "[203.0.113.9]; from=<a@example.org> to=<b@example.com> proto=ESMTP helo=<c.example>"
    ]


def test_a_refused_sender_is_reported() -> None:
    rejections: list[Rejection] = []
    say(dialogue(rejections), "EHLO c.example", "MAIL FROM:<a@example.org> SIZE=99999999999")
    assert (rejections[0].phase, rejections[0].sender, rejections[0].code) == ("mail", "a@example.org", 552)


def test_too_many_errors_close_but_refused_recipients_do_not_count() -> None:
    talk = dialogue()
    say(talk, *START)
    for _ in range(3 * MAX_ERRORS):
        assert say(talk, "RCPT TO:<bad>").code == 501
        assert say(talk, "DATA").code == 554
    for _ in range(MAX_ERRORS - 1):
        assert say(talk, "HELLO").code == 500
    assert say(talk, "HELLO")[:2] == (421, "4.7.0")


def test_a_stranger_who_is_refused_a_hundred_times_is_sent_away() -> None:
    stranger, trusted = dialogue(client="203.0.113.9"), dialogue()
    for talk, last in ((stranger, 421), (trusted, 501)):
        say(talk, *START)
        replies = [say(talk, "RCPT TO:<bad>").code for _ in range(MAX_REFUSED)]
        assert replies == [501] * (MAX_REFUSED - 1) + [last]


def test_a_recipient_given_twice_is_one() -> None:
    talk = dialogue()
    say(talk, *START, "RCPT TO:<b@example.com>", "RCPT TO:<b@EXAMPLE.com>", "RCPT TO:<B@example.com>")
    assert talk.session.transaction
    assert [str(recipient) for recipient in talk.session.transaction.recipients] == ["b@example.com", "B@example.com"]


def test_a_thousand_recipients_and_one() -> None:
    talk = dialogue()
    say(talk, *START)
    replies = [say(talk, f"RCPT TO:<b{n}@example.com>").code for n in range(1001)]
    assert replies == [250] * 1000 + [452]


VERB = st.sampled_from(["HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "QUIT", "AUTH", "GET", "X", ""])
ARGUMENT = st.one_of(
    st.sampled_from(["", "c.example", "FROM:<a@example.org>", "FROM:<>", "TO:<b@example.com>", "TO:<postmaster>"]),
    st.text(max_size=40),
)


@given(st.lists(st.tuples(VERB, ARGUMENT), max_size=30))
def test_every_line_has_one_valid_answer(commands: list[tuple[str, str]]) -> None:
    talk = dialogue()
    for verb, argument in commands:
        talk.feed(f"{verb} {argument}\r\n".encode())
        answers = list(iter(talk.next, None))
        assert len(answers) == 1 + argument.count("\n")
        for answer in answers:
            assert isinstance(answer, Reply)
            assert 200 <= answer.code <= 599
            assert answer.enhanced or answer.code in (220, 250, 354)
            assert answer.close == (answer.code in (221, 421) or answer == NOT_HTTP)
            if answer is START_DATA:
                assert talk.session.transaction
                assert talk.session.transaction.recipients
                return


@given(st.binary(max_size=100))
def test_any_bytes_are_answered(line: bytes) -> None:
    assert reply(dialogue(), line.replace(b"\n", b"") + b"\n").code >= 200


def test_the_log_says_what_a_client_did() -> None:
    talk = dialogue()
    with structlog.testing.capture_logs() as logs:
        talk.greeting()
        say(talk, *START, "RCPT TO:<bad>", "RCPT TO:<b@example.com>", "DATA")
        talk.feed(b"x\r\n.\r\n")
        assert isinstance(talk.next(), Queue)
        talk.queued(codes.LOCAL_ERROR)
        say(talk, "HELLO", "QUIT")
        talk.feed(b"x" * 5000 + b"\r\n")
        talk.next()
        talk.close()
    assert logs[0]["event"] == "connect from [127.0.0.1]"
    assert logs[-1]["event"] == (
        "disconnect from [127.0.0.1] ehlo=1 mail=1 rcpt=1/2 data=0/1 unknown=0/2 quit=1 commands=4/8"
    )


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_pieces_make_no_difference(seed: int, size: int) -> None:
    stream = session(Random(seed))
    whole, pieces = Driven(), Driven()
    said = pieces.say(stream, size)
    assert [reply[:2] for reply in said] == [reply[:2] for reply in whole.say(stream)]
    assert [recipients for recipients, _ in pieces.messages] == [recipients for recipients, _ in whole.messages]


def test_a_client_that_goes_on_for_ever_is_sent_away() -> None:
    driven = Driven(of=context(Listener(max_message=1000)))
    driven.say(START_LINES + b"DATA\r\n")
    replies = driven.say(b"x" * (most_read(1000) - 1))
    assert replies == []
    [reply] = driven.say(b"xx")
    assert (reply.code, reply.close) == (552, True)
    assert driven.dialogue.message is None


def test_received_says_that_smtputf8_was_used() -> None:
    talk = dialogue()
    say(talk, "EHLO c.example", "MAIL FROM:<a@example.org> SMTPUTF8")
    assert talk.session.protocol == "UTF8SMTP"
    say(talk, "RSET", "MAIL FROM:<a@example.org>")
    assert talk.session.protocol == "ESMTP"


def test_what_was_said_before_tls_is_counted() -> None:
    talk = dialogue()
    say(talk, "EHLO c.example", "HELLO")
    talk.secured("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    say(talk, "EHLO c.example")
    assert str(talk.session.counts) == "ehlo=2 unknown=0/1 commands=2/3"


@pytest.mark.parametrize(
    ("length", "reply"),
    [(12_288, str(BAD_CREDENTIALS)), (12_289, "500 5.5.6 Line too long: more than 12290 bytes")],
)
def test_a_response_of_auth_has_so_many_octets(length: int, reply: str) -> None:
    """RFC 4954 sections 4 and 6; what comes behind it is a command again."""
    client = Driven(of=context(Listener(auth_without_tls=True), logins=Logins(Users(), Config().logins)))
    replies = client.say(b"EHLO c.example\r\nAUTH PLAIN\r\n" + b"A" * length + b"\r\nNOOP\r\nNOOP\r\n")
    assert [str(one) for one in replies[2:]] == [reply, "250 2.0.0 Ok", "250 2.0.0 Ok"]


def test_mail_that_the_store_has_no_room_for_is_refused_at_once() -> None:
    rejections: list[Rejection] = []
    client = Driven(of=replace(context(rejections=rejections), has_room=lambda size: size <= 1000))
    client.say(b"EHLO c.example\r\n")
    [full] = client.say(b"MAIL FROM:<a@example.org> SIZE=1001\r\n")
    assert str(full) == "452 4.3.1 Insufficient system storage, try again later"
    assert [(one.phase, one.sender) for one in rejections] == [("mail", "a@example.org")]
    for line in (b"MAIL FROM:<a@example.org> SIZE=1000\r\n", b"MAIL FROM:<a@example.org>\r\n"):
        assert [one.code for one in client.say(line + b"RSET\r\n")] == [250, 250]
