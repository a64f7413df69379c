"""Bounces as mail systems word them, out of ``bounces_in_words.toml``: invented mails in the layout of each."""

import tomllib
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """A bounce without a part for machines, and what is to be read in it."""

    system: str
    sender: str
    subject: str
    recipients: tuple[str, ...]
    code: int
    enhanced: str
    says: str
    """Is in what is told of the first recipient."""
    text: str


def mail(sender: str, subject: str, text: str, *more: str) -> bytes:
    """A mail to the sender of what bounced."""
    head = [f"From: {sender}", "To: news@shop.example", f"Subject: {subject}", "Message-ID: <bounce@mx.example>", *more]
    return "\r\n".join([*head, "Content-Type: text/plain; charset=utf-8", "", *text.split("\n")]).encode()


RETURNED = """Return-Path: <news@shop.example>
Received: from shop.example by mx.example; Mon, 2 Mar 2026 10:00:00 +0100
Message-ID: <one@shop.example>
From: Shop <news@shop.example>
To: ann@there.example
Subject: Spring sale
Date: Mon, 2 Mar 2026 10:00:00 +0100

Buy now.
"""

_FILE = Path(__file__).with_suffix(".toml")
SAMPLES = [
    Sample(**{**table, "text": table["text"].replace("{returned}", RETURNED), "recipients": tuple(table["recipients"])})
    for table in tomllib.loads(_FILE.read_text(encoding="utf-8"))["bounces"]
]
