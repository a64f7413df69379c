import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound import smtp
from outbound.failure import DeliveryFailure
from outbound.reply import Reply
from outbound.smtp import Envelope, Extensions

EVERYTHING = Extensions(pipelining=True, starttls=True, eightbit=True, smtputf8=True, size=1000)
NOW = 1_790_000_000.0
ASCII = b"Subject: x\r\n\r\nhello\r\n"


def lines(envelope: Envelope, message: bytes = ASCII, offered: Extensions = EVERYTHING) -> list[str]:
    return [line.decode() for _, line in smtp.transaction(envelope, message, offered, NOW)]


def test_extensions() -> None:
    said = ("mx.test", "pipelining", "SIZE 3588", "8BITMIME", "AUTH PLAIN", "AUTH=LOGIN PLAIN", "STARTTLS", "", "X")
    assert Extensions.parse(Reply(250, "", said)) == Extensions(
        pipelining=True, starttls=True, eightbit=True, size=3588, auth=frozenset({"PLAIN", "LOGIN"})
    )
    said = ("mx.test", "DSN", "DELIVERBY 60", "MT-PRIORITY MIXER", "LIMITS MAILMAX=3")
    assert Extensions.parse(Reply(250, "", said)) == Extensions(dsn=True, deliver_by=True, priority=True, mailmax=3)


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
    header = "Subject: é\r\n\r\nx\r\n".encode()
    assert lines(Envelope("a@a.test", "b@b.test", smtputf8=True), header)[0].endswith("BODY=8BITMIME SMTPUTF8\r\n")
    assert lines(Envelope("a@a.test", "b@b.test"), header)[0].endswith("BODY=8BITMIME\r\n")


ASKING = Extensions(dsn=True, deliver_by=True, priority=True)
ASKED = Envelope(
    "a@a.test", "b+c@b.test", notify="SUCCESS,DELAY", ret="HDRS", envid="x+2By", orcpt="rfc822;Z@z.test",
    deliver_by=NOW + 600.5, priority=7,
)  # fmt: skip


def test_what_was_asked_for_is_passed_on_as_it_was_said() -> None:
    assert lines(ASKED, offered=ASKING)[:2] == [
        "MAIL FROM:<a@a.test> RET=HDRS ENVID=x+2By MT-PRIORITY=6 BY=600;N\r\n",
        "RCPT TO:<b+c@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Z@z.test\r\n",
    ]


def test_nothing_of_it_goes_where_it_is_not_offered() -> None:
    assert lines(ASKED, offered=Extensions())[:2] == ["MAIL FROM:<a@a.test>\r\n", "RCPT TO:<b+c@b.test>\r\n"]


def test_nothing_is_added_where_nothing_was_asked_for() -> None:
    assert lines(Envelope("a@a.test", "b@b.test"), offered=ASKING)[:2] == [
        "MAIL FROM:<a@a.test>\r\n", "RCPT TO:<b@b.test>\r\n",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"notify": "NEVER"}, " NOTIFY=NEVER ORCPT=rfc822;b@b.test"),
        ({"notify": "FAILURE", "recipient": "b+c=d@b.test"}, " NOTIFY=FAILURE ORCPT=rfc822;b+2Bc+3Dd@b.test"),
        ({"orcpt": "x400;/G=A+20B/"}, " ORCPT=x400;/G=A+20B/"),
        ({"notify": "FAILURE", "recipient": "ä+@b.test"}, r" NOTIFY=FAILURE ORCPT=utf-8;\x{E4}\x{2B}@b.test"),
        ({"orcpt": "utf-8;ä@b.test"}, r" ORCPT=utf-8;\x{E4}@b.test"),
    ],
)
def test_the_original_recipient(changes: dict[str, str], parameters: str) -> None:
    envelope = Envelope("a@a.test", "b@b.test")._replace(**changes)
    _, rcpt, _ = lines(envelope, offered=Extensions(dsn=True, smtputf8=True))
    assert rcpt == f"RCPT TO:<{envelope.recipient}>{parameters}\r\n"


@pytest.mark.parametrize(("priority", "value"), [*enumerate([-8, -6, -4, -2, None, 2, 4, 6, 8, 9])])
def test_priorities(priority: int, value: int | None) -> None:
    mail = lines(Envelope("a@a.test", "b@b.test", priority=priority), offered=ASKING)[0]
    assert mail == f"MAIL FROM:<a@a.test>{'' if value is None else f' MT-PRIORITY={value}'}\r\n"


@pytest.mark.parametrize(
    ("by", "left"), [(NOW - 60, "-60"), (NOW, "0"), (NOW + 1e12, "999999999"), (1.0, "-999999999")]
)
def test_the_time_that_is_left_may_be_over(by: float, left: str) -> None:
    assert lines(Envelope("a@a.test", "b@b.test", deliver_by=by), offered=ASKING)[0].endswith(f" BY={left};N\r\n")


@pytest.mark.parametrize(
    ("line", "mailmax"),
    [("LIMITS MAILMAX=20 RCPTMAX=5", 20), ("limits rcptmax=5 mailmax=7", 7), ("LIMITS MAILMAX=0", 0),
     ("LIMITS MAILMAX=1234567", 0), ("LIMITS MAILMAX=x", 0), ("LIMITS", 0), ("MAILMAX=3", 0)],
)  # fmt: skip
def test_limits(line: str, mailmax: int) -> None:
    assert Extensions.parse(Reply(250, "", ("mx", line))).mailmax == mailmax


@pytest.mark.parametrize(
    ("envelope", "message", "enhanced"),
    [
        (Envelope("a@a.test", "b@b.test"), b"x" * 101, "5.3.4"),
        (Envelope("a@a.test", "b@b.test"), "é\r\n".encode(), "5.6.3"),
        (Envelope("a@a.test", "é@b.test"), ASCII, "5.6.7"),
        (Envelope("a@a.test", "b@b.test", smtputf8=True), ASCII, "5.6.7"),
        (Envelope("a@a.test", "b@b.test>\r\nRCPT TO:<c@c.test"), ASCII, "5.1.3"),
        (Envelope("a@a.test>\nDATA", "b@b.test"), ASCII, "5.1.3"),
    ],
)
def test_what_a_server_cannot_take(envelope: Envelope, message: bytes, enhanced: str) -> None:
    with pytest.raises(DeliveryFailure) as caught:
        smtp.transaction(envelope, message, Extensions(size=100), NOW)
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
