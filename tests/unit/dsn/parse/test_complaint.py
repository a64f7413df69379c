"""Complaints and other feedback reports."""

import json

import pytest
from feedback_samples import ARF_HEAD, ARF_ORIGINAL, ARF_REPORT

from dsn.parse import Kind, parse


def test_arf() -> None:
    feedback = parse(ARF_HEAD + ARF_REPORT + ARF_ORIGINAL)
    assert (feedback.kind, feedback.rule, feedback.about) == (Kind.COMPLAINT, "rfc5965", ("ann@there.example",))
    assert feedback.complaint is not None
    assert feedback.complaint.type == "abuse"
    assert feedback.complaint.mail_from == "bounce@shop.example"
    assert feedback.complaint.source_ip == "198.51.100.9"
    assert feedback.complaint.incidents == 3
    assert feedback.complaint.reported_domains == ("shop.example", "link.example")
    assert feedback.complaint.fields["user-agent"] == ("SomeFBL/1.0",)
    assert feedback.original.envelope_id == "order+17"
    assert feedback.original.message_ids == ("<one@shop.example>",)
    assert feedback.original.first("CFBL-Feedback-ID") == "111:222:333"  # RFC 9477 3.1.2


def test_a_redacted_recipient_names_nobody_but_the_mail_is_known() -> None:
    report = ARF_REPORT.replace(b"<ann@there.example>", b"DAE7C2F1")
    original = ARF_ORIGINAL.replace(b"ben@there.example", b"[redacted]")
    feedback = parse(ARF_HEAD + report + original)
    assert (feedback.kind, feedback.about) == (Kind.COMPLAINT, ())
    assert feedback.original.message_ids == ("<one@shop.example>",)


def test_without_a_recipient_the_one_of_the_mail_is_told() -> None:
    report = ARF_REPORT.replace(b"Original-Rcpt-To: <ann@there.example>\n", b"")
    assert parse(ARF_HEAD + report + ARF_ORIGINAL).about == ("ben@there.example",)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("fraud", Kind.COMPLAINT),
        ("virus", Kind.COMPLAINT),
        ("other", Kind.COMPLAINT),
        ("miscategorized", Kind.COMPLAINT),
        ("opt-out", Kind.UNSUBSCRIBE),
        ("auth-failure", Kind.NOTE),
        ("not-spam", Kind.NOTE),
    ],
)
def test_types(type_: str, kind: Kind) -> None:
    assert parse(ARF_HEAD + ARF_REPORT.replace(b"Abuse", type_.encode()) + ARF_ORIGINAL).kind == kind


def test_a_report_that_is_not_marked_as_one() -> None:
    feedback = parse(ARF_HEAD + ARF_REPORT.replace(b"message/feedback-report", b"text/plain") + ARF_ORIGINAL)
    assert (feedback.kind, feedback.about) == (Kind.COMPLAINT, ("ann@there.example",))


def test_removal_recipient() -> None:
    report = ARF_REPORT.replace(b"Abuse", b"opt-out").replace(b"Original-Rcpt-To", b"Removal-Recipient")
    assert parse(ARF_HEAD + report + ARF_ORIGINAL).about == ("ann@there.example",)


@pytest.mark.parametrize("incidents", ["", "many", "²", "9" * 5000])
def test_incidents_that_are_no_number(incidents: str) -> None:
    feedback = parse(ARF_HEAD + ARF_REPORT.replace(b"Incidents: 3", f"Incidents: {incidents}".encode()) + ARF_ORIGINAL)
    assert feedback.complaint is not None
    assert feedback.complaint.incidents in (1, 999999999)


def test_outlooks_complaint_without_a_report() -> None:
    head = (
        b"From: staff@hotmail.example\nSubject: complaint about message\nContent-Type: multipart/mixed; boundary=b\n\n"
    )
    original = ARF_ORIGINAL.replace(b"Message-ID:", b"X-HmXmrOriginalRecipient: ann@there.example\nMessage-ID:", 1)
    feedback = parse(head + original)
    assert (feedback.kind, feedback.rule, feedback.about) == (Kind.COMPLAINT, "jmrp", ("ann@there.example",))
    assert feedback.original.message_ids == ("<one@shop.example>",)


def test_xarf() -> None:  # RFC 9477 allows it beside ARF
    sample = "Message-ID: <one@shop.example>\r\nCFBL-Feedback-ID: 1:2\r\nSubject: Spring sale\r\n\r\nBuy now."
    report = {
        "Version": "3",
        "Report": {
            "ReportClass": "Messaging",
            "ReportType": "Spam",
            "SourceIp": "198.51.100.9",
            "SmtpMailFromAddress": "bounce@shop.example",
            "SmtpRcptToAddress": "ann@there.example",
            "Samples": [{"ContentType": "message/rfc822", "Payload": sample}],
        },
    }
    part = b"--b\nContent-Type: application/json\n\n" + json.dumps(report).encode() + b"\n--b--\n"
    feedback = parse(ARF_HEAD.replace(b"multipart/report; report-type=feedback-report", b"multipart/mixed") + part)
    assert (feedback.kind, feedback.rule, feedback.about) == (Kind.COMPLAINT, "xarf", ("ann@there.example",))
    assert feedback.original.message_ids == ("<one@shop.example>",)
    assert feedback.original.first("CFBL-Feedback-ID") == "1:2"


@pytest.mark.parametrize("data", ["[1]", '{"Report": 7}', '{"Report": {"ReportType": []}}', '{"a":' * 100_000])
def test_json_that_is_no_report(data: str) -> None:
    part = b"--b\nContent-Type: application/json\n\n" + data.encode() + b"\n--b--\n"
    head = b"From: ann@there.example\nContent-Type: multipart/mixed; boundary=b\n\n"
    assert parse(head + part).kind == Kind.OTHER
