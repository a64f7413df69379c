"""Bounces that follow no standard, in the words of many mail systems."""

import pytest
from bounces_in_words import RETURNED, SAMPLES, Sample, mail

from dsn.parse import Kind, parse

DELAY = """Delivery to the following recipient has been delayed:

     ann@there.example

Message will be retried for 2 more day(s)
"""


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.system)
def test_a_bounce_in_words(sample: Sample) -> None:
    feedback = parse(mail(sample.sender, sample.subject, sample.text))
    assert feedback.kind == Kind.REPORT
    assert tuple(one.recipient for one in feedback.recipients) == sample.recipients
    first = feedback.recipients[0]
    assert first.failed
    assert (first.code, first.enhanced_code) == (sample.code, sample.enhanced)
    assert sample.says in first.text
    if RETURNED in sample.text:
        assert feedback.original.message_ids == ("<one@shop.example>",)
        assert feedback.original.first("Subject") == "Spring sale"


def test_a_delay_is_no_bounce() -> None:
    feedback = parse(mail("MAILER-DAEMON@mx.example", "Delivery Status Notification (Delay)", DELAY))
    assert [(one.recipient, one.action, one.failed) for one in feedback.recipients] == [
        ("ann@there.example", "delayed", False)
    ]


def test_what_expired_is_one() -> None:
    text = DELAY + "\nThis is permanent: no further attempts will be made.\n"
    assert parse(mail("MAILER-DAEMON@mx.example", "Delivery delayed", text)).recipients[0].failed


def test_what_was_refused_for_good_is_one_though_another_is_delayed() -> None:
    text = (
        "Transcript of session follows\n554 <ann@there.example>... Host unknown\n451 <ben@there.example>... Deferred\n"
    )
    feedback = parse(mail("MAILER-DAEMON@mx.example", "Returned mail: Deferred: no answer", text))
    assert [(one.recipient, one.failed) for one in feedback.recipients] == [
        ("ann@there.example", True),
        ("ben@there.example", False),
    ]


def test_where_words_name_nobody_the_mail_does() -> None:
    text = "Your mail could not be delivered.\n\n----- Original message -----\n\n" + RETURNED
    assert [one.recipient for one in parse(mail("MAILER-DAEMON@mx.example", "failure notice", text)).recipients] == [
        "ann@there.example"
    ]
