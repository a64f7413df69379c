"""What of the mail came back."""

import pytest

from dsn.parse import parse
from dsn.parse.original import split

HEADER = (
    "Return-Path: <a@b.example>\nReceived: from x\n by y\nSubject: Spring sale\n"
    "Message-ID: <one@shop.example>\n\nBuy.\n"
)


@pytest.mark.parametrize(
    "line",
    [
        "--- Below this line is a copy of the message.",
        "------ This is a copy of the message, including all the headers. ------",
        "----- Original message -----",
        "   ----- Unsent message follows -----",
        "Message headers follow.",
        "--- The header of the original message is following. ---",
        "-------- Ursprüngliche Nachricht --------",
        "|----------- Message text follows: -----------|",
    ],
)
def test_a_line_that_introduces_it(line: str) -> None:
    words, returned = split(f"It failed.\n\n{line}\n\n----\n{HEADER}")
    assert words == "It failed.\n\n"
    assert returned == HEADER


def test_a_header_that_nothing_introduces() -> None:
    assert split(f"It failed.\n\n{HEADER}") == ("It failed.\n\n", HEADER)


def test_an_indented_one() -> None:
    indented = "".join(f"    {line}\n" for line in HEADER.splitlines()).replace("    \n", "\n")
    assert split(f"It failed.\nOriginal mail as follows:\n\n{indented}").returned == HEADER


@pytest.mark.parametrize(
    "words",
    [
        "Your message\n\n  To: x\n  Subject: y\n  Sent: z\n",
        "This is the mail system at host x.\n",
        "To: x\nSubject: y\nDate: z\n",
    ],
)
def test_words_that_are_no_header(words: str) -> None:
    assert split(words) == (words, "")


def test_a_part_without_a_type_whose_fields_are_the_mails() -> None:
    mail = (
        "From: MAILER-DAEMON@mx.example\nSubject: Returned mail\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
    )
    feedback = parse(f"{mail}<ann@there.example>: unknown\n--b\nFrom: news@shop.example\n{HEADER}\n--b--\n".encode())
    assert feedback.original.message_ids == ("<one@shop.example>",)
    assert feedback.recipients[0].recipient == "ann@there.example"


def test_a_quoted_message_id() -> None:
    words = "Your mail (Message-ID: <one@shop.example>) could not be delivered.\n<ann@there.example>: 550 no\n"
    feedback = parse(f"From: MAILER-DAEMON@mx.example\nSubject: failure\n\n{words}".encode())
    assert feedback.original.message_ids == ("<one@shop.example>",)


def test_a_message_id_without_brackets() -> None:
    feedback = parse(
        b"From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/rfc822-headers\n\n"
        b"Message-ID: one@shop.example\n--b--\n"
    )
    assert feedback.original.message_ids == ("<one@shop.example>",)
