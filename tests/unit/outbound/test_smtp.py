import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound import smtp
from outbound.failure import DeliveryFailure
from outbound.reply import Reply
from outbound.smtp import Envelope, Extensions

EVERYTHING = Extensions(pipelining=True, starttls=True, eightbit=True, smtputf8=True, size=1000)
ASCII = b"Subject: x\r\n\r\nhello\r\n"


def lines(envelope: Envelope, message: bytes = ASCII, offered: Extensions = EVERYTHING) -> list[str]:
    return [line.decode() for _, line in smtp.transaction(envelope, message, offered)]


def test_extensions() -> None:
    said = ("mx.test", "pipelining", "SIZE 3588", "8BITMIME", "AUTH PLAIN", "AUTH=LOGIN PLAIN", "STARTTLS", "", "X")
    assert Extensions.parse(Reply(250, "", said)) == Extensions(
        pipelining=True, starttls=True, eightbit=True, size=3588, auth=frozenset({"PLAIN", "LOGIN"})
    )


@pytest.mark.parametrize("size", ["SIZE", "SIZE x", "SIZE -1", "SIZE " + "9" * 5000, "SIZE \N{SUPERSCRIPT TWO}"])
def test_a_size_that_says_nothing(size: str) -> None:
    assert Extensions.parse(Reply(250, "", ("mx", size))).size == 0


@given(st.lists(st.text(max_size=30), max_size=10))
def test_any_ehlo_reply_is_understood(said: list[str]) -> None:
    assert Extensions.parse(Reply(250, "", tuple(said))).size >= 0


def test_parameters_only_where_offered_and_needed() -> None:
    envelope = Envelope("a@a.test", "b@b.test")
    assert lines(envelope) == ["MAIL FROM:<a@a.test> SIZE=21\r\n", "RCPT TO:<b@b.test>\r\n", "DATA\r\n"]
    assert lines(envelope, offered=Extensions())[0] == "MAIL FROM:<a@a.test>\r\n"
    assert lines(envelope, "é\r\n".encode())[0] == "MAIL FROM:<a@a.test> SIZE=4 BODY=8BITMIME\r\n"
    assert lines(Envelope("", "é@b.test"))[0] == "MAIL FROM:<> SIZE=21 SMTPUTF8\r\n"
    body = "Subject: x\r\n\r\né\r\n".encode()
    assert "SMTPUTF8" not in lines(Envelope("a@a.test", "b@b.test", smtputf8=True), body)[0]
    header = "Subject: é\r\n\r\nx\r\n".encode()
    assert lines(Envelope("a@a.test", "b@b.test", smtputf8=True), header)[0].endswith("BODY=8BITMIME SMTPUTF8\r\n")


@pytest.mark.parametrize(
    ("envelope", "message", "enhanced"),
    [
        (Envelope("a@a.test", "b@b.test"), b"x" * 101, "5.3.4"),
        (Envelope("a@a.test", "b@b.test"), "é\r\n".encode(), "5.6.3"),
        (Envelope("a@a.test", "é@b.test"), ASCII, "5.6.7"),
        (Envelope("a@a.test", "b@b.test>\r\nRCPT TO:<c@c.test"), ASCII, "5.1.3"),
        (Envelope("a@a.test>\nDATA", "b@b.test"), ASCII, "5.1.3"),
    ],
)
def test_what_a_server_cannot_take(envelope: Envelope, message: bytes, enhanced: str) -> None:
    with pytest.raises(DeliveryFailure) as caught:
        smtp.transaction(envelope, message, Extensions(size=100))
    assert caught.value.permanent
    assert caught.value.enhanced == enhanced


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.\r\n.b\r\n", b"a\r\n..\r\n..b\r\n.\r\n"),
    ],
)
def test_dots(message: bytes, wire: bytes) -> None:
    assert smtp.data(message) == wire


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"", b".a"])))
def test_dots_come_off_again(parts: list[bytes]) -> None:
    message = b"".join(part + b"\r\n" for part in parts)
    *body, end, rest = smtp.data(message).split(b"\r\n")
    assert (end, rest) == (b".", b"")
    assert b"." not in body
    assert b"".join(line.removeprefix(b".") + b"\r\n" for line in body) == message
