"""SMTP replies in running text."""

import pytest

from dsn.parse.reply import LONGEST, begins, codes, from_lines, one_line


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("550 5.1.1 no", (550, "5.1.1")),
        ("550-5.1.1 no", (550, "5.1.1")),
        ("550: 5.1.1 no", (550, "5.1.1")),
        ("554 554 5.7.0 no", (554, "5.7.0")),
        ("250 2.0.0 ok", (250, "2.0.0")),
        ("host mx [192.0.2.7] said: 452 later (#4.2.2)", (452, "4.2.2")),
        ("Sorry. (#5.1.1)", (0, "5.1.1")),
        ("since 4.1.2026, version 5.5.1960.3", (0, "")),
        ("", (0, "")),
    ],
)
def test_codes(text: str, found: tuple[int, str]) -> None:
    assert codes(text) == found


def test_where_one_begins() -> None:
    assert begins("host said: 550 no") == 11
    assert begins("at 12:550 or 5500") == -1


def test_a_reply_of_several_lines() -> None:
    lines = ["Remote host said: 550-5.1.1 no", "550-5.1.1 such", "550 5.1.1 user", "", "554 other"]
    assert from_lines(lines, 18) == "550-5.1.1 no such user"


def test_another_reply_is_another() -> None:
    assert from_lines(["550 no", "  such user", "452 full"]) == "550 no such user"


def test_one_line_can_be_printed() -> None:
    assert one_line("a\x00b\n\tc\u202e ") == "ab c"
    assert len(one_line("x" * 10_000)) == LONGEST
