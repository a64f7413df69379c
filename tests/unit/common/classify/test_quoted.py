"""Codes, phase and words that are found within a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.classify.quoted import read


@pytest.mark.parametrize(
    ("text", "code", "enhanced", "phase"),
    [
        ("550 5.1.1 User unknown", 550, "5.1.1", ""),
        ("550 User unknown", 550, "", ""),
        ("550-5.7.1 One\n550 5.7.1 two", 550, "5.7.1", ""),
        ("smtp;550 5.1.1 User unknown", 550, "5.1.1", ""),
        ("No such user (#5.1.1)", 0, "5.1.1", ""),
        ("550 #5.1.0 Address rejected", 550, "5.1.0", ""),
        ("550 5.0.0 <ann@example.org>... 5.2.1 disabled", 550, "5.2.1", ""),
        ("host mx.example.org[192.0.2.1] said: 450 4.2.0 Later (in reply to RCPT TO command)", 450, "4.2.0", "rcpt"),
        ("450 4.2.0 Later; 550 5.1.1 No", 550, "5.1.1", ""),  # the one that is final
        ("450 4.7.1 Host rejected 554 5.5.1 Error: no valid recipients", 450, "4.7.1", ""),  # what follows from it
        ("503 5.5.1 Need RCPT", 503, "5.5.1", ""),  # unless there is nothing else
        ("SMTP error from remote mail server after MAIL FROM:<a@b.example> SIZE=9: 550 No", 550, "", "mail"),
        ("SMTP error from remote mail server after end of data: 550 No", 550, "", "dot"),
        ("SMTP error from remote mail server after initial connection: 554 No", 554, "", "banner"),
        ("RCPT TO:<ann@example.org> failed: 550 No", 550, "", "rcpt"),
        ("sent RCPT TO:<ann@example.org> got 250 Ok, sent DATA, reply: 550 No", 550, "", ""),
        ("after RCPT TO:<ann@example.org>: 451 Later; after end of data: 550 No", 550, "", ""),
        ("message of 550 bytes took 404 seconds", 0, "", ""),
        ("version 15.5.1.1 of 192.5.1.1", 0, "", ""),
        ("", 0, "", ""),
    ],
)
def test_read(text: str, code: int, enhanced: str, phase: str) -> None:
    found = read(text)
    assert (found.code, found.enhanced, found.phase) == (code, enhanced, phase)


def test_the_words_behind_the_code() -> None:
    assert read("451 Later 550 5.1.1 No such user 503 Need RCPT").said == " No such user "
    assert read("451 Later 550 No such user", 451).said == " Later "
    assert read("550-5.7.1 One\n550 5.7.1 two").said == ""  # they go on behind each code
    assert read("host a.example[192.0.2.1] said: 550 No (in reply to DATA command)").text.split() == ["550", "No"]


@given(st.text(alphabet="45 01.-#:[a\n"))
def test_any_text(text: str) -> None:
    found = read(text)
    assert found.code == 0 or 400 <= found.code <= 599
