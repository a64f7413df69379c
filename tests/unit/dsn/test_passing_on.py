"""What goes on to the sender of a mail, and what would make a loop."""

import pytest
from support import make_entry

from common.verp import Token
from dsn.history import Delivery
from dsn.parse import Feedback, Kind, Recipient
from dsn.passing_on import MARK, as_passed_on, entry_of, is_wanted

DOMAIN = "bounces.example.net"
KNOWN = Delivery(submission="s", delivery="s-1", sender="writer@example.org", recipient="w@remote.example", priority=7)
REPORT = (
    b"Received: from x\r\nFrom: MAILER-DAEMON@remote.example\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="b 1"\r\n\r\n'
    b"--b 1\r\nContent-Type: text/plain\r\n\r\nwords\r\n"
    b"--b 1\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n"
    b"\r\n--b 1\r\nContent-Description: Undelivered\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: mine\r\n\r\nbody\r\n"
    b"\r\n--b 1--\r\n"
)


def token(notify: str = "", *, headers_only: bool = False) -> Token:
    return Token("s", 1, 20_000, notify, headers_only)


def report(*actions: str) -> Feedback:
    return Feedback(Kind.REPORT, "test", recipients=tuple(Recipient("who@remote.example", one) for one in actions))


@pytest.mark.parametrize(
    ("notify", "actions", "wanted"),
    [
        ("", ["failed"], True), ("", ["delayed"], True), ("", ["delivered"], False), ("", [], True),
        ("NEVER", ["failed"], False), ("NEVER", ["delayed"], False), ("FAILURE", ["failed"], True),
        ("FAILURE", ["delayed"], False), ("FAILURE", ["expanded"], False), ("SUCCESS", ["expanded"], True),
        ("SUCCESS", ["failed"], False), ("SUCCESS,FAILURE", ["delivered", "failed"], True),
        ("DELAY", ["failed", "delayed"], True), ("FAILURE", ["bounced somehow"], True),
    ],
)  # fmt: skip
def test_what_was_asked_for(notify: str, actions: list[str], wanted: bool) -> None:
    assert is_wanted(token(notify), KNOWN, report(*actions), REPORT, DOMAIN) == wanted


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_no_report_goes_on_too_but_for_complaints(kind: Kind) -> None:
    wanted = kind not in (Kind.REPORT, Kind.COMPLAINT, Kind.NOTE, Kind.UNSUBSCRIBE)
    assert is_wanted(token("NEVER"), KNOWN, Feedback(kind, "test"), b"", DOMAIN) == wanted


def test_nobody_to_pass_it_on_to() -> None:
    for sender in ("", f"fbl@{DOMAIN}", f"x@{DOMAIN.upper()}"):
        known = Delivery(submission="s", delivery="s-1", sender=sender)
        assert not is_wanted(token(), known, report("failed"), REPORT, DOMAIN)


def test_what_was_passed_on_before_does_not_go_round() -> None:
    again = as_passed_on(REPORT, token(), report("failed"), DOMAIN)
    assert again == f"{MARK}: s-1@{DOMAIN}\r\n".encode() + REPORT
    assert not is_wanted(token(), KNOWN, report("failed"), b"Received: from y\r\n" + again, DOMAIN)
    folded = as_passed_on(b" x\r\n\r\n", token(), report("failed"), DOMAIN)
    assert not is_wanted(token(), KNOWN, report("failed"), folded.upper(), DOMAIN)
    inside = b"Subject: x\r\n\r\n" + again  # quoted in a body is another mail
    assert is_wanted(token(), KNOWN, report("failed"), inside, DOMAIN)


def test_what_another_postjet_has_passed_on_to_this_one_goes_on_and_does_not_go_round() -> None:
    """As where one is the other's smarthost: the sender of its mail is a return path of the other's."""
    theirs = as_passed_on(REPORT, token(), report("failed"), "bounces.other.example")
    assert is_wanted(token(), KNOWN, report("failed"), theirs, DOMAIN)
    ours = as_passed_on(theirs, token(), report("failed"), DOMAIN)
    for domain in (DOMAIN, "bounces.other.example"):
        assert not is_wanted(token(), KNOWN, report("failed"), ours, domain)


def test_ret_hdrs() -> None:
    passed = as_passed_on(REPORT, token(headers_only=True), report("failed"), DOMAIN)
    assert passed.endswith(
        b"\r\n--b 1\r\nContent-Description: Undelivered\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: mine\r\n"
        b"\r\n--b 1--\r\n"
    )
    assert b"Action: failed" in passed


@pytest.mark.parametrize(
    "message",
    [b"", b"Subject: x\r\n\r\nwords", REPORT.replace(b"--b 1--", b""), REPORT.replace(b"message/rfc822", b"text/plain"),
     REPORT.replace(b"boundary", b"boundry")],
)  # fmt: skip
def test_ret_hdrs_where_nothing_can_be_cut(message: bytes) -> None:
    passed = as_passed_on(message, token(headers_only=True), report("failed"), DOMAIN)
    assert passed == f"{MARK}: s-1@{DOMAIN}\r\n".encode() + message


def test_its_entry_is_always_the_same() -> None:
    back = make_entry(f"x@{DOMAIN}", pool="feedback", eightbit=True, interface="relay")
    one, other = (entry_of(back, KNOWN, 500, "bulk", now, now + 100) for now in (1e9, 2e9))
    assert one.id == other.id
    assert one.submission != back.submission
    assert (one.sender, one.recipient, one.domain, one.pool) == ("", "writer@example.org", "example.org", "bulk")
    assert (one.priority, one.eightbit, one.meta["report_of"]) == (7, True, "s-1")
    assert one.notify == one.ret == one.envid == one.orcpt == ""  # RFC 3461 6.1
