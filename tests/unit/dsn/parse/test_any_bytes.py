"""Whatever the bytes are, ``parse`` answers."""

from collections.abc import Callable

from bounces_in_words import SAMPLES, mail
from feedback_samples import ARF_HEAD, ARF_ORIGINAL, ARF_REPORT, HEAD, RETURNED, SES_BOUNCE, STATUS, WORDS, notification
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsn.parse import Feedback, Kind, parse

#: What parsers look for, so that it stands where it is not expected.
TOKENS = [
    b"\n",
    b"\r\n",
    b"\n\n",
    b"--b",
    b"--",
    b" ",
    b"\t",
    b":",
    b";",
    b"<",
    b">",
    b"@",
    b'"',
    b"(",
    b")",
    b"=?utf-8?b?",
    b"?=",
    b"{",
    b"}",
    b"Content-Type: multipart/report; boundary=b\n\n",
    b"Content-Type: message/delivery-status\n\n",
    b"Content-Type: text/html\n\n",
    b"Content-Type: message/feedback-report\n\n",
    b"Content-Type: message/rfc822\n\n",
    b"Content-Type: application/json\n\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\n",
    b"charset=idna",
    b"charset=utf-16",
    b"Final-Recipient: utf-8; \\x{D800}@",
    b"Original-Recipient: rfc822;",
    b"Action: failed\n",
    b"Status: 5.",
    b"Diagnostic-Code: smtp;",
    b"X-Failed-Recipients: ",
    b"From: MAILER-DAEMON@x\n",
    b"Subject: Undeliverable\n",
    b"could not be delivered",
    b"550 5.1.1 ",
    b"a@b.c",
    b"<a@b>: ",
    b"RCPT TO:<",
    b"----- Original message -----\n",
    b"Message-ID: <",
    b"Incidents: \xb2\n",
    b'{"notificationType":"Bounce",',
    b'"bounce":{"bouncedRecipients":[',
    b"<style>",
    b"</p>",
    b"&#xFFFFFFF;",
    b"\x00",
    b"\xff",
    b"\xe2\x80\xa8",
    b"unsubscribe",
    b"=\n",
    b"\\",
]
REAL = [
    *(mail(sample.sender, sample.subject, sample.text) for sample in SAMPLES),
    HEAD + WORDS + STATUS + RETURNED,
    ARF_HEAD + ARF_REPORT + ARF_ORIGINAL,
    notification(SES_BOUNCE),
]


def check(feedback: Feedback) -> None:
    """What holds of every answer."""
    assert isinstance(feedback.kind, Kind)
    assert bool(feedback.recipients) <= (feedback.kind == Kind.REPORT)
    assert feedback.kind != Kind.REPORT or feedback.recipients
    for one in feedback.recipients:
        assert one.recipient
        assert one.action
        assert one.text.isprintable()
        assert 0 <= one.code < 600
    for identifier in feedback.original.message_ids:
        assert identifier[0] + identifier[-1] == "<>"


@given(st.binary(max_size=300))
@example(b"")
@example(b"\n\n")
@example(b":")
def test_any_bytes(message: bytes) -> None:
    check(parse(message))


@settings(max_examples=300)
@given(st.lists(st.sampled_from(TOKENS), max_size=40))
def test_what_parsers_look_for_in_any_order(tokens: list[bytes]) -> None:
    check(parse(b"".join(tokens)))


@st.composite
def mutated(draw: Callable[[st.SearchStrategy[int]], int]) -> bytes:
    """A bounce in which some stretches are left out, said twice, or are something else."""
    message = REAL[draw(st.integers(0, len(REAL) - 1))]
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(message)))
        end = min(len(message), start + draw(st.sampled_from([0, 1, 2, 10, 100, 1000])))
        put = [b"", message[start:end] * 2, TOKENS[draw(st.integers(0, len(TOKENS) - 1))], b"\x00\xff"]
        message = message[:start] + put[draw(st.integers(0, len(put) - 1))] + message[end:]
    return message


@settings(max_examples=300)
@given(mutated())
def test_any_mutation_of_a_bounce(message: bytes) -> None:
    check(parse(message))
