"""Reports, read back by the standard library's parser."""

import base64
import email
import email.policy
import quopri
import random
import re
from collections.abc import Callable
from email.message import Message
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import make_entry

from common.content import INLINE_LIMIT, store
from common.entry import Entry
from common.event import Event, Status, Type
from common.ids import report_id
from common.queue.reports import Kind
from outbound import report
from outbound.normalise import normalise
from outbound.report_text import HEADER, MESSAGE

HOST = "mta1.example.net"
NOW = 1_790_000_000.0
ORIGINAL = b"From: <s@sender.example>\r\nSubject: News\r\n\r\nhello\r\n"
EIGHTBIT = ORIGINAL + "Grüße\r\n".encode()
UTF8_HEADER = "Subject: Grüße\r\n\r\nhello\r\n".encode()


def entry(**changes: object) -> Entry:
    values = {"recipient": "nobody@strict.example", "accepted": NOW - 60, "message_id": "<1@sender.example>"}
    return make_entry(**(values | changes))  # type: ignore[arg-type]


def bounced(**changes: object) -> Event:
    values: dict[str, object] = {
        "time": NOW, "type": Type.BOUNCED, "status": Status.UNDELIVERABLE, "reason": "rejected", "phase": "rcpt",
        "code": 550, "enhanced_code": "5.1.1", "text": "No such user", "mx_host": "mx.strict.example",
        "mx_address": "192.0.2.1",
    }  # fmt: skip
    return Event(**(values | changes))  # type: ignore[arg-type]


EXPIRED = bounced(type=Type.EXPIRED, reason="expired", code=0, enhanced_code="4.4.7", text="", mx_host="")


def parts(message: bytes) -> list[Message]:
    """The report's parts, once it is found to be one."""
    parsed = email.message_from_bytes(message)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    found = parsed.get_payload()
    assert isinstance(found, list)
    of_ours = [parsed, *found, *found[1].get_payload()]  # what the original has is its own
    assert not [defect for part in of_ours for defect in part.defects]
    assert [part.get_content_type() for part in found[:2]] == ["text/plain", "message/delivery-status"]
    return found  # type: ignore[return-value]


def status(message: bytes) -> tuple[Message, Message]:
    """Fields of the message and of the recipient."""
    of_message, of_recipient = parts(message)[1].get_payload()
    assert isinstance(of_message, Message)
    assert isinstance(of_recipient, Message)
    return of_message, of_recipient


def returned(message: bytes) -> tuple[Message, bytes]:
    """The last part: its header and the bytes behind it."""
    boundary = parts(message) and email.message_from_bytes(message).get_boundary()
    head, _, body = message.split(f"\r\n--{boundary}".encode())[3].removeprefix(b"\r\n").partition(b"\r\n\r\n")
    header = email.message_from_bytes(head)
    decode = {"base64": base64.b64decode, "quoted-printable": quopri.decodestring}
    return header, decode.get(header["Content-Transfer-Encoding"], bytes)(body)


def unfolded(text: str) -> str:
    return re.sub(r"\r?\n ", " ", text)


def text(message: bytes) -> str:
    part = parts(message)[0]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode(part.get_content_charset() or "")


def check_wire(message: bytes) -> None:
    """Nothing in it that a server would refuse or a reader take for something else."""
    assert message.count(b"\r\n") == message.count(b"\n") == message.count(b"\r")
    assert b"\0" not in message
    assert max(map(len, message.split(b"\r\n"))) <= 998


def test_header() -> None:
    about = entry()
    parsed = email.message_from_bytes(report.build(about, bounced(), HOST, ORIGINAL), policy=email.policy.default)
    assert dict(parsed.items()) == {
        "From": f"Mail Delivery System <MAILER-DAEMON@{HOST}>",
        "To": "s@sender.example",
        "Subject": "Undelivered Mail Returned to Sender",
        "Date": parsed["Date"],
        "Message-ID": f"<{report_id(about.id)}@{HOST}>",
        "In-Reply-To": "<1@sender.example>",
        "References": "<1@sender.example>",
        "Auto-Submitted": "auto-replied",
        "MIME-Version": "1.0",
        "Content-Type": parsed["Content-Type"],
    }
    assert parsedate_to_datetime(parsed["Date"]).timestamp() == NOW


def test_status_of_a_refusal() -> None:
    about = entry()
    of_message, of_recipient = status(report.build(about, bounced(), HOST, ORIGINAL))
    arrival = of_message["Arrival-Date"]
    assert dict(of_message.items()) == {
        "Reporting-MTA": f"dns; {HOST}", "X-Postjet-Delivery": about.id, "Arrival-Date": arrival,
    }  # fmt: skip
    assert parsedate_to_datetime(arrival).timestamp() == NOW - 60
    tried = of_recipient["Last-Attempt-Date"]
    assert dict(of_recipient.items()) == {
        "Final-Recipient": "rfc822; nobody@strict.example", "Action": "failed", "Status": "5.1.1",
        "Remote-MTA": "dns; mx.strict.example", "Diagnostic-Code": "smtp; 550 5.1.1 No such user",
        "Last-Attempt-Date": tried,
    }  # fmt: skip
    assert parsedate_to_datetime(tried).timestamp() == NOW


def test_status_of_what_we_found_ourselves() -> None:
    row = bounced(reason="dns", enhanced_code="5.1.2", text="no such domain: a.example", mx_host="")
    of_recipient = status(report.build(entry(), row, HOST, ORIGINAL))[1]
    assert of_recipient["Remote-MTA"] is None
    assert of_recipient["Diagnostic-Code"] == "X-Postjet; no such domain: a.example"
    assert of_recipient["Status"] == "5.1.2"


@pytest.mark.parametrize(
    ("host", "reply", "remote", "diagnostic"),
    [
        ("mx.a.example", "mx.a.example[192.0.2.1]: 451 4.7.1 Later", "dns; mx.a.example", "smtp; 451 4.7.1 Later"),
        ("2001:db8::1", "2001:db8::1[2001:db8::1]: 451 4.0.0 x", "dns; [IPv6:2001:db8::1]", "smtp; 451 4.0.0 x"),
        ("192.0.2.1", "192.0.2.1[192.0.2.1]: 451 4.0.0 x", "dns; [192.0.2.1]", "smtp; 451 4.0.0 x"),
        ("", "451 4.4.3 DNS failed", None, "X-Postjet; 451 4.4.3 DNS failed"),
        ("", "", None, None),
    ],
)
def test_status_of_what_expired_is_the_last_trys(
    host: str, reply: str, remote: str | None, diagnostic: str | None
) -> None:
    about = entry(last_host=host, last_reply=reply, accepted=NOW - 5 * 86400)
    message = report.build(about, EXPIRED, HOST, ORIGINAL)
    of_recipient = status(message)[1]
    assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", "4.4.7")
    assert (of_recipient["Remote-MTA"], of_recipient["Diagnostic-Code"]) == (remote, diagnostic)
    assert of_recipient["Last-Attempt-Date"] is None
    assert "It was tried for 5 days" in text(message)


DELAYED = bounced(
    type=Type.DEFERRED, status=Status.DEFERRED, code=451, enhanced_code="4.7.1", text="Later"
)  # fmt: skip
RELAYED = bounced(type=Type.DELIVERED, status=Status.DELIVERED, code=250, enhanced_code="2.0.0", text="Ok", reason="")


def test_a_delay() -> None:
    about = entry(accepted=NOW - 4 * 3600)
    message = report.build(about, DELAYED, HOST, ORIGINAL, Kind.DELAY, NOW + 3600)
    check_wire(message)
    parsed = email.message_from_bytes(message)
    assert parsed["Subject"] == "Delayed Mail (still being retried)"
    assert parsed["Message-ID"] == f"<{report_id(about.id, 'delay')}@{HOST}>"
    of_recipient = status(message)[1]
    until = of_recipient["Will-Retry-Until"]
    assert dict(of_recipient.items()) == {
        "Final-Recipient": "rfc822; nobody@strict.example", "Action": "delayed", "Status": "4.7.1",
        "Remote-MTA": "dns; mx.strict.example", "Diagnostic-Code": "smtp; 451 4.7.1 Later",
        "Last-Attempt-Date": of_recipient["Last-Attempt-Date"], "Will-Retry-Until": until,
    }  # fmt: skip
    assert parsedate_to_datetime(until).timestamp() == NOW + 3600
    told = unfolded(text(message)).replace("\r\n", " ")
    assert "has waited for 4 hours. You need not send it again" in told
    assert until in told
    assert "not be tried again" not in told


def test_a_delay_that_no_try_has_ended_with_tells_of_the_last_one() -> None:
    about = entry(last_host="mx.a.example", last_reply="mx.a.example[192.0.2.1]: 451 4.7.1 Later")
    row = bounced(type=Type.DEFERRED, reason="delayed", code=451, enhanced_code="4.4.7", text="told", mx_host="")
    of_recipient = status(report.build(about, row, HOST, ORIGINAL, Kind.DELIVER_BY, NOW))[1]
    assert (of_recipient["Status"], of_recipient["Remote-MTA"]) == ("4.4.7", "dns; mx.a.example")
    assert of_recipient["Diagnostic-Code"] == "smtp; 451 4.7.1 Later"
    assert of_recipient["Last-Attempt-Date"] is None


def test_what_was_passed_on() -> None:
    message = report.build(entry(), RELAYED, HOST, ORIGINAL)
    check_wire(message)
    assert email.message_from_bytes(message)["Subject"] == "Successful Mail Delivery Report"
    of_recipient = status(message)[1]
    assert [of_recipient[name] for name in ("Action", "Status", "Remote-MTA", "Diagnostic-Code")] == [
        "relayed", "2.0.0", "dns; mx.strict.example", "smtp; 250 Ok",
    ]  # fmt: skip
    assert "does not report" in text(message)


@pytest.mark.parametrize(
    ("ret", "row", "whole"),
    [("", bounced(), True), ("FULL", bounced(), True), ("HDRS", bounced(), False), ("HDRS", EXPIRED, False),
     ("FULL", DELAYED, False), ("FULL", RELAYED, False), ("", RELAYED, False)],
)  # fmt: skip
def test_ret_is_about_failures(ret: str, row: Event, whole: bool) -> None:
    part = parts(report.build(entry(ret=ret), row, HOST, ORIGINAL))[2]
    assert part.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert ("hello" in part.as_string()) == whole


@pytest.mark.parametrize(
    ("orcpt", "field"),
    [
        ("rfc822;Bob+2Bx@a.example", "rfc822; Bob+x@a.example"),
        ("x400;/G=A+20B/", "x400; /G=A+20B/"),  # no xtext: refused when it comes, told as it is
        ("x400;/G+3DA+20B/", "x400; /G=A B/"),
        (r"utf-8;\x{E4}@a.example", r"utf-8; \x{E4}@a.example"),
        ("utf-8;ä@a.example", r"utf-8; \x{E4}@a.example"),
    ],
)
def test_the_original_recipient_as_its_sender_knows_it(orcpt: str, field: str) -> None:
    of_recipient = status(report.build(entry(orcpt=orcpt), bounced(), HOST, ORIGINAL))[1]
    assert list(of_recipient)[0] == "Original-Recipient"  # noqa: RUF015
    assert of_recipient["Original-Recipient"] == field


def test_what_the_sender_said_of_the_message() -> None:
    about = entry(envid="QQ+2B1+20x", deliver_by=NOW + 60, future_release="for;600")
    of_message = status(report.build(about, bounced(), HOST, ORIGINAL))[0]
    assert of_message["Original-Envelope-Id"] == "QQ+1 x"
    assert parsedate_to_datetime(of_message["Deliver-By-Date"]).timestamp() == NOW + 60
    assert of_message["Future-Release-Request"] == "for;600"


def test_a_code_that_is_none_becomes_5_0_0_and_is_not_put_into_the_servers_mouth() -> None:
    assert status(report.build(entry(), bounced(enhanced_code=""), HOST, None))[1]["Status"] == "5.0.0"
    row = bounced(enhanced_code="5.0.0")
    assert status(report.build(entry(), row, HOST, None))[1]["Diagnostic-Code"] == "smtp; 550 No such user"


def test_people_are_told_what_happened_and_what_the_server_said() -> None:
    about = entry()
    told = text(report.build(about, bounced(), HOST, ORIGINAL))
    for words in ("nobody@strict.example", "no such mailbox", "mx.strict.example said", "550 5.1.1 No such user",
                  "Your message is attached", about.id):  # fmt: skip
        assert words in told
    assert max(map(len, told.splitlines())) <= 76


@pytest.mark.parametrize(
    ("code", "words"),
    [("5.1.10", "no mail at all"), ("5.2.2", "full"), ("5.3.4", "too large"), ("5.7.26", "does not want"),
     ("5.4.4", "could not be reached"), ("5.4.6", "circle"), ("5.1.2", "no such domain"), ("5.5.0", "does not take")],
)  # fmt: skip
def test_codes_in_plain_words(code: str, words: str) -> None:
    assert words in text(report.build(entry(), bounced(enhanced_code=code), HOST, None))


@pytest.mark.parametrize(
    ("original", "smtputf8", "type_", "encoding"),
    [
        (ORIGINAL, False, "message/rfc822", "7bit"),
        (EIGHTBIT, False, "message/rfc822", "8bit"),
        (b"just text\r\n", False, "message/rfc822", "7bit"),
        (ORIGINAL + b"x" * report.LIMIT, False, "text/rfc822-headers", "7bit"),
        (ORIGINAL + b"x" * 999, False, "text/rfc822-headers", "7bit"),  # a line too long for the wire
        (b"X: " + b"x" * 999 + b"\r\n" + ORIGINAL, False, "text/rfc822-headers", "quoted-printable"),
        (UTF8_HEADER, False, "text/rfc822-headers", "quoted-printable"),
        (UTF8_HEADER, True, "message/global", "base64"),
        (UTF8_HEADER + b"x" * report.LIMIT, True, "message/global-headers", "quoted-printable"),
        (ORIGINAL, True, "message/rfc822", "7bit"),
    ],
)  # fmt: skip
def test_how_the_original_comes_along(original: bytes, smtputf8: bool, type_: str, encoding: str) -> None:
    message = report.build(entry(smtputf8=smtputf8), bounced(), HOST, original)
    check_wire(message)
    header, body = returned(message)
    assert (header.get_content_type(), header["Content-Transfer-Encoding"]) == (type_, encoding)
    whole = type_ in ("message/rfc822", "message/global")
    assert header["Content-Description"] == (MESSAGE if whole else HEADER)
    assert ("Your message is attached" in text(message)) == whole
    assert body == (normalise(original) if whole else original.partition(b"\r\n\r\n")[0] + b"\r\n")
    eightbit = email.message_from_bytes(message)["Content-Transfer-Encoding"] == "8bit"
    assert eightbit == (encoding == "8bit") == (not message.isascii())


def test_without_content_nothing_is_attached() -> None:
    message = report.build(entry(), bounced(), HOST, None)
    assert len(parts(message)) == 2
    assert "could not be read" in text(message)


def test_a_header_that_does_not_fit_is_cut_between_lines() -> None:
    lines = [b"X-%05d: %s\r\n" % (number, b"x" * 50) for number in range(2000)]
    _, body = returned(report.build(entry(), bounced(), HOST, b"".join(lines)))
    assert report.LIMIT - 100 < len(body) <= report.LIMIT
    assert body == b"".join(lines[: body.count(b"\r\n")])


def test_utf8_addresses() -> None:
    about = entry(sender="grün@ü.example", recipient="ä+b@ö.example")
    message = report.build(about, bounced(), HOST, ORIGINAL)
    check_wire(message)
    assert "To: <grün@ü.example>\r\n".encode() in message
    assert status(message)[1]["Final-Recipient"] == r"utf-8; \x{E4}\x{2B}b@\x{F6}.example"


@pytest.mark.parametrize("identifier", ["", "no id", "<a@b>, <c@d>", "<a@b\r\nX: y>", f"<{'a' * 300}@b>"])
def test_a_message_id_that_is_none_is_not_referred_to(identifier: str) -> None:
    parsed = email.message_from_bytes(report.build(entry(message_id=identifier), bounced(), HOST, ORIGINAL))
    assert parsed["In-Reply-To"] is parsed["References"] is parsed["X"] is None


hostile = st.text(st.characters(), max_size=1200) | st.sampled_from(
    ["a\r\nBcc: x@y.example\r\n\r\n--", "\0\r\n.\r\n", "x" * 1000, "\N{SNOWMAN}" * 1000, "--01", " " * 1000, "=\n"]
)


@given(
    said=hostile, last=hostile, sender=hostile, recipient=hostile, host=hostile, code=st.text(max_size=12),
    how=st.sampled_from([Type.BOUNCED, Type.EXPIRED, Type.DEFERRED, Type.DELIVERED]), smtputf8=st.booleans(),
    asked=hostile | st.just("rfc822;a+0D+0AX: y+00@b"),
)  # fmt: skip
@example("x\ud800", "", "\ud800@a", "\ud800", "", "", Type.BOUNCED, True, "utf-8;\ud800")
def test_nothing_that_strangers_say_makes_a_field_or_a_line(
    said: str, last: str, sender: str, recipient: str, host: str, code: str, how: Type, smtputf8: bool, asked: str
) -> None:
    sender, recipient, host = sender[:300], recipient[:300], host[:200]  # as long as paths and names may be
    about = entry(
        sender=sender, recipient=recipient, last_reply=last, last_host=host, smtputf8=smtputf8, envid=asked[:100],
        orcpt=asked[:500], future_release=asked[:50],
    )  # fmt: skip
    row = EXPIRED if how == Type.EXPIRED else bounced(type=how, text=said, mx_host=host, enhanced_code=code)
    message = report.build(about, row, HOST, ORIGINAL, Kind.END, NOW)
    check_wire(message)
    head, *bodies = message.split(f"\r\n--{report_id(about.id)}.0".encode())
    assert re.findall(rb"^([A-Za-z-]+):", head, re.MULTILINE) == [
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"In-Reply-To", b"References", b"Auto-Submitted",
        b"MIME-Version", b"Content-Type",
    ]  # fmt: skip
    assert b"".join(bodies).isascii()
    of_message, of_recipient = status(message)
    always, optional = {"Reporting-MTA", "X-Postjet-Delivery", "Arrival-Date"}, {"Original-Envelope-Id"}
    assert always <= set(of_message) <= always | optional | {"Future-Release-Request"}
    always, optional = {"Final-Recipient", "Action", "Status"}, {"Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"}
    assert always <= set(of_recipient) <= always | optional | {"Original-Recipient", "Will-Retry-Until"}
    assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", of_recipient["Status"])
    assert len(parts(message)) == 3


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_the_recipient_is_told_as_it_is(local: str) -> None:
    recipient = f"{local}@b.example"
    message = report.build(entry(recipient=recipient), bounced(), HOST, ORIGINAL)
    assert unfolded(status(message)[1]["Final-Recipient"]) == f"rfc822; {recipient}"
    assert recipient in text(message)


@given(
    st.binary(max_size=3000)
    | st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b"--", b"a: b", b" ", b"\xff", b".", b"=" * 80]))
    .map(b"".join),
    st.booleans(),
)  # fmt: skip
def test_whatever_the_original_is_the_report_is_sound(original: bytes, smtputf8: bool) -> None:
    message = report.build(entry(smtputf8=smtputf8), bounced(), HOST, original)
    check_wire(message)
    assert len(parts(message)) == 3


def test_an_original_that_knows_the_boundary_does_not_end_its_part() -> None:
    about = entry()
    boundaries = b"".join(f"--{report_id(about.id)}.{number}\r\n".encode() for number in range(12))
    message = report.build(about, bounced(), HOST, ORIGINAL + boundaries)
    assert [part.get_content_type() for part in parts(message)[2:]] == ["message/rfc822"]
    assert ORIGINAL + boundaries in message


@pytest.mark.parametrize("smtputf8", [False, True])
@pytest.mark.parametrize("make", [lambda r: r.randbytes(60_000), lambda r: b"X: " + r.randbytes(60_000),
                                  lambda r: b"\n" * 50_000, lambda r: "ü".encode() * 25_000])  # fmt: skip
def test_a_report_always_fits_into_its_entry(make: Callable[[random.Random], bytes], smtputf8: bool) -> None:
    original = make(random.Random(1))
    for size in (report.LIMIT, report.LIMIT + 1):
        message = report.build(entry(smtputf8=smtputf8), bounced(text="x" * 1000), HOST, original[:size])
        check_wire(message)
        assert len(store(message)) < INLINE_LIMIT


def test_the_same_delivery_makes_the_same_report() -> None:
    about = entry()
    row = bounced()
    assert report.build(about, row, HOST, ORIGINAL) == report.build(about, row, HOST, ORIGINAL)
