"""flufl.bounce, where our own rules find nobody."""

import logging
from email import message_from_bytes

import pytest
from flufl.bounce import all_failures

from dsn.parse import Kind, parse, unruly
from dsn.parse.bounce import text_of
from dsn.parse.mime import leaves

#: The address is behind a mark that its detector of Exim knows, in a header field.
BOUNCE = b"""From: Mail Delivery System <mailer-daemon@mx.example>
To: news@shop.example
Subject: Mail delivery failed
X-Failed-Recipients: ann@there.example

"""


def read(message: bytes) -> list[str]:
    root, parts = leaves(message)
    found = unruly.read(message, root, text_of(parts).text)
    return [one.recipient for one in found.recipients] if found else []


def test_its_addresses_are_recipients() -> None:
    assert read(BOUNCE) == ["ann@there.example"]


def test_it_is_not_asked_about_what_is_no_bounce() -> None:
    assert read(BOUNCE.replace(b"X-Failed-Recipients", b"X-Other").replace(b"mailer-daemon", b"ann")) == []


def test_what_it_stumbles_over_is_nothing(caplog: pytest.LogCaptureFixture) -> None:
    message = b"Subject: Mail delivery failed\n\nThe mail could not be delivered.\n"
    with pytest.raises(IndexError):
        all_failures(message_from_bytes(message))
    with caplog.at_level(logging.ERROR):
        assert read(message) == []
    assert parse(message).kind != Kind.REPORT
    assert not caplog.records
