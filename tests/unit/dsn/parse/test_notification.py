"""Amazon SES's notifications by mail."""

import json
from typing import Any

import pytest
from feedback_samples import SES_BOUNCE, SES_MAIL, notification

from dsn.parse import Kind, parse


@pytest.mark.parametrize("data", [SES_BOUNCE, {"Type": "Notification", "Message": json.dumps(SES_BOUNCE)}])
def test_bounce(data: Any) -> None:
    feedback = parse(notification(data))
    assert (feedback.kind, feedback.rule, feedback.reporting_mta) == (Kind.REPORT, "ses", "ses.example")
    ann, ben = feedback.recipients
    assert (ann.recipient, ann.action, ann.status, ann.code, ann.text) == (
        "ann@there.example",
        "failed",
        "5.1.1",
        550,
        "550 5.1.1 nobody",
    )
    assert (ben.recipient, ben.failed, ben.text) == ("ben@there.example", True, "")
    assert feedback.original.message_ids == ("<one@shop.example>",)
    assert feedback.original.first("X-Campaign") == "spring"


def test_delivery_is_no_bounce() -> None:
    delivery = {"recipients": ["ann@there.example"], "smtpResponse": "250 2.0.0 ok"}
    feedback = parse(notification({"notificationType": "Delivery", "delivery": delivery, "mail": SES_MAIL}))
    one = feedback.recipients[0]
    assert (feedback.kind, one.recipient, one.failed, one.code) == (Kind.REPORT, "ann@there.example", False, 250)


def test_complaint() -> None:
    complaint = {"complaintFeedbackType": "abuse", "complainedRecipients": [{"emailAddress": "ann@there.example"}]}
    feedback = parse(notification({"notificationType": "Complaint", "complaint": complaint, "mail": SES_MAIL}))
    assert (feedback.kind, feedback.about) == (Kind.COMPLAINT, ("ann@there.example",))
    assert feedback.complaint is not None
    assert feedback.complaint.type == "abuse"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"notificationType": "Send"},
        {"notificationType": "Bounce", "bounce": 7, "mail": []},
        {"Message": "{"},
        {"notificationType": "Bounce", "bounce": {"bouncedRecipients": [7, {"emailAddress": 7}]}},
        {"notificationType": "Delivery", "delivery": {"recipients": {"a": 1}, "smtpResponse": []}},
    ],
)
def test_what_is_none(data: Any) -> None:
    assert parse(notification(data)).kind == Kind.OTHER
