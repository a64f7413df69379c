"""Bounces that follow no standard, in the words of many mail systems."""

import pytest
from bounces_in_words import RETURNED, SAMPLES, Sample

from dsn.parse import Kind, parse


def mail(sender: str, subject: str, text: str, *more: str) -> bytes:
    """A mail to the sender of what bounced."""
    head = [f"From: {sender}", "To: news@shop.example", f"Subject: {subject}", "Message-ID: <bounce@mx.example>", *more]
    return "\r\n".join([*head, "Content-Type: text/plain; charset=utf-8", "", *text.split("\n")]).encode()


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
