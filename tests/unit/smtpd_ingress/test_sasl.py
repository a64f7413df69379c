"""AUTH (RFC 4954): what clients send, and how each exchange ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sasl_support import b64, scram_proof

from common.users.credentials import no_verifier, verifier
from smtpd_ingress import sasl
from smtpd_ingress.lines import MAX_AUTH_LINE
from smtpd_ingress.sasl import Challenge, Check, Done, Exchange, Failed

KNOWN = verifier("pencil", iterations=4096)


def exchange() -> Exchange:
    return Exchange(lambda name: KNOWN if name == "user" else no_verifier(name, b"s"))


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("\0tim\0tanstaafl", Check("tim", "tanstaafl")),  # RFC 4616 section 4
        ("tim\0tim\0x", Check("tim", "x")),
        ("\0u\u00adser\0pass\u00a0word", Check("user", "pass word")),  # RFC 4013 section 2.1
        ("\0\u2168\0x", Check("IX", "x")),  # RFC 4013 section 3
        ("Ursel\0Kurt\0xipj3plmq", Failed(sasl.BAD_CREDENTIALS, "Kurt")),  # RFC 4616 section 4, where it is allowed
        ("\0tim\0", Failed(sasl.BAD_CREDENTIALS, "tim")),
        ("\0\0x", Failed(sasl.BAD_CREDENTIALS, "")),
        ("\0tim\x07\0x", Failed(sasl.BAD_CREDENTIALS, "tim\x07")),
        ("tim\0x", Failed(sasl.MALFORMED)),
        ("\0tim\0x\0", Failed(sasl.MALFORMED)),
        ("", Failed(sasl.MALFORMED)),
        ("\0tim\0" + "x" * 1025, Failed(sasl.MALFORMED)),
        (b"\0tim\0\xff", Failed(sasl.MALFORMED)),
    ],
)
def test_plain(message: str | bytes, outcome: sasl.Step) -> None:
    assert exchange().begin(f"PLAIN {b64(message) or '='}") == outcome
    started = exchange()
    assert started.begin("plain") == Challenge(b"")
    assert started.answer(b64(message).encode()) == outcome
    assert started.mechanism == "PLAIN"


@pytest.mark.parametrize("initial", [True, False])
def test_login(initial: bool) -> None:
    started = exchange()
    if initial:  # what Outlook and smtplib do
        asked = started.begin(f"LOGIN {b64('tim')}")
    else:
        assert started.begin("LOGIN") == Challenge(b"Username:")
        asked = started.answer(b64("tim").encode())
    assert asked == Challenge(b"Password:")
    assert isinstance(asked, Challenge)
    assert asked.reply.encode() == b"334 UGFzc3dvcmQ6\r\n"
    assert started.answer(b64("tan staafl").encode()) == Check("tim", "tan staafl")


def test_a_challenge_that_is_empty() -> None:
    step = exchange().begin("PLAIN")
    assert isinstance(step, Challenge)
    assert step.reply.encode() == b"334 \r\n"


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("", "501 5.5.4 Syntax: AUTH mechanism [initial-response]"),
        ("CRAM-MD5", "504 5.5.4 Authentication mechanism not supported"),
        ("PLAIN *", "501 5.7.0 Authentication cancelled"),
        ("PLAIN a b", "501 5.5.2 Response is not base64"),
        ("PLAIN AGE", "501 5.5.2 Response is not base64"),
        ("PLAIN =AGE=", "501 5.5.2 Response is not base64"),
        ("PLAIN é", "501 5.5.2 Response is not base64"),
        ("SCRAM-SHA-256 =", "501 5.5.2 Malformed response: not a client-first-message of SCRAM"),
    ],
)
def test_what_fails_at_once(argument: str, reply: str) -> None:
    step = exchange().begin(argument)
    assert isinstance(step, Failed)
    assert str(step.reply) == reply
    assert not step.name  # no guess at a password


def test_a_mechanism_that_is_not_offered() -> None:
    assert exchange().begin("PLAIN", ("SCRAM-SHA-256",)) == Failed(sasl.BAD_MECHANISM)


@pytest.mark.parametrize("mechanism", sasl.MECHANISMS)
def test_the_end_of_every_mechanism(mechanism: str) -> None:
    for line, reply in ((b"*", sasl.CANCELLED), (b"=", sasl.BAD_BASE64)):
        started = exchange()
        assert isinstance(started.begin(mechanism), Challenge)
        assert started.answer(line) == Failed(reply)


def test_the_longest_line() -> None:
    started = exchange()
    started.begin("PLAIN")
    assert started.answer(b"A" * (MAX_AUTH_LINE - 2)) == Failed(sasl.MALFORMED)  # read, and found to be nothing


def scram(name: str, password: str) -> sasl.Step:
    started = exchange()

    def send(first: bytes) -> bytes:
        step = started.begin(f"SCRAM-SHA-256 {b64(first)}")
        assert isinstance(step, Challenge)
        return step.data

    step = started.answer(b64(scram_proof(send, password, name)).encode())
    if isinstance(step, Challenge):
        assert step.data.startswith(b"v=")
        return started.answer(b"")
    return step


def test_scram() -> None:
    assert scram("user", "pencil") == Done("user")
    assert scram("user", "pencil2") == Failed(sasl.BAD_CREDENTIALS, "user")
    assert scram("nobody", "pencil") == Failed(sasl.BAD_CREDENTIALS, "nobody")


def test_the_password_is_in_no_repr() -> None:
    assert "tanstaafl" not in repr(Check("tim", "tanstaafl"))


ARGUMENTS = st.builds(
    "{} {}".format, st.sampled_from(sasl.MECHANISMS), st.text() | st.binary().map(b64) | st.just("=")
)
LINES = st.binary() | st.binary().map(lambda data: b64(data).encode()) | st.sampled_from([b"*", b"", b"="])


@given(st.text() | ARGUMENTS, st.lists(LINES, max_size=4))
def test_any_bytes(argument: str, lines: list[bytes]) -> None:
    started = exchange()
    step = started.begin(argument)
    for line in lines:
        if not isinstance(step, Challenge):
            break
        assert len(step.reply.encode()) <= 512
        step = started.answer(line)
    assert isinstance(step, Challenge | Check | Failed)
