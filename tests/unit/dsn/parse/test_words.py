"""Whom the words of a bounce are about."""

import pytest

from dsn.parse.words import recipients, told_of

SENDER = frozenset({"news@shop.example"})


def found(words: str, header: tuple[str, ...] = ()) -> list[str]:
    return [one.recipient for one in recipients(words, header, SENDER)]


@pytest.mark.parametrize(
    ("words", "who"),
    [
        ("<ann@there.example>: no\nRCPT TO:<ben@there.example>", ["ann@there.example"]),
        ("Hello news@shop.example,\nwe could not reach ann@there.example", ["ann@there.example"]),
        (
            ">>> RCPT To:<ann@there.example>\n550 <ben@there.example>... User unknown",
            ["ann@there.example", "ben@there.example"],
        ),
        ("MAIL FROM:<eve@there.example>\nTo: ann@there.example", ["ann@there.example"]),
        ("Ann B <ann@there.example>:\n550 no", ["ann@there.example"]),
        ("carl@there.example <ann@there.example>: malformed", ["ann@there.example"]),
        ("  * ann@there.example\n  * ben@there.example", ["ann@there.example", "ben@there.example"]),
        ("ann@there.example  unknown here\nben@there.example  full", ["ann@there.example", "ben@there.example"]),
        ("please contact\nhelp@there.example for more\n\n<ann@there.example>: no", ["ann@there.example"]),
        ("<ann@localhost>: no", ["ann@localhost"]),
        ("Ann@There.example: no\nann@there.example: no", ["Ann@There.example"]),
        ("could not be delivered to news@shop.example", ["news@shop.example"]),
        ("write to postmaster@there.example\nmail to ann@there.example failed", ["ann@there.example"]),
        ("nobody is named", []),
        ("news@shop.example: your mail\nto ann@there.example failed", ["ann@there.example"]),
        ("550 rejected by eve@gate.example\nfor it is not known: ann@there.example", ["ann@there.example"]),
    ],
)
def test_who(words: str, who: list[str]) -> None:
    assert found(words) == who


def test_the_header_counts_where_no_line_begins_with_an_address() -> None:
    assert found("We could not reach ben@there.example.", ("ann@there.example",)) == ["ann@there.example"]
    assert found("ben@there.example: no", ("ann@there.example",)) == ["ben@there.example"]
    assert found("news@shop.example, hello", ("ann@there.example",)) == ["ann@there.example"]


def test_each_has_its_own_reason() -> None:
    words = "<ann@there.example>:\n550-5.1.1 nobody\n550 5.1.1 here\n\n<ben@there.example>:\nmailbox is full\n"
    ann, ben = recipients(words, (), SENDER)
    assert (ann.code, ann.enhanced_code, ann.text) == (550, "5.1.1", "550-5.1.1 nobody here")
    assert (ben.code, ben.enhanced_code, ben.text) == (0, "", "mailbox is full")


def test_a_reason_elsewhere_that_names_the_recipient() -> None:
    words = (
        "ann@there.example\nben@there.example\n\n--- session ---\n"
        "550 ben@there.example is gone\n552 ann@there.example is full\n"
    )
    assert {one.recipient: one.code for one in recipients(words, (), SENDER)} == {
        "ann@there.example": 552,
        "ben@there.example": 550,
    }


def test_what_somebody_was_called_before() -> None:
    one = recipients("  ann@there.example\n    (generated from sales@here.example)\n    no", (), SENDER)[0]
    assert one.original_recipient == "sales@here.example"
    one = recipients("<ann@there.example> (expanded from <sales@here.example>): no", (), SENDER)[0]
    assert one.original_recipient == "sales@here.example"


def test_what_is_told_of_some() -> None:
    told = told_of(
        "<ann@there.example>: 550 no\n<ben@there.example>: 552 full", ["Ben@there.example", "carl@there.example"]
    )
    assert told == {"ben@there.example": ("552 full", "")}


@pytest.mark.parametrize(
    ("words", "phases"),
    [
        ("<ann@there.example>: host mx said: 550 no (in reply to RCPT\n    TO command)", ["rcpt"]),
        ("ann@there.example\n  SMTP error from remote mailer after RCPT TO:<ann@there.example>:\n  550 no", ["rcpt"]),
        ("<ann@there.example>:\n192.0.2.9 does not like recipient.\nRemote host said: 550 no", ["rcpt"]),
        ("<ann@there.example>:\nRemote host said:\n550 no\n[RCPT_TO]", ["rcpt"]),
        ("<ann@there.example>: host mx said: 550 no (in reply to end of DATA\n    command)", ["dot"]),
        ("<ann@there.example>: 550 no", [""]),
        ("Details\n  550 no such user\n  RCPT TO: ann@there.example", [""]),  # whom it was for, not what was answered
        (
            "<ann@there.example>\n<ben@there.example>\n\n--- Transcript ---\n... while talking to mx.there.example:\n"
            ">>> RCPT To:<ann@there.example>\n<<< 550 no\n550 <ann@there.example>... User unknown\n"
            ">>> DATA\n<<< 552 no\n552 <ben@there.example>... Data format error",
            ["rcpt", ""],
        ),
    ],
)
def test_when_it_was_said(words: str, phases: list[str]) -> None:
    assert [one.phase for one in recipients(words, (), SENDER)] == phases


@pytest.mark.parametrize("number", ["12:550", "192.0.2.550", "[192.0.2.7]:450", "id=550", "550 bytes", "x550", "5501"])
def test_numbers_that_are_no_code(number: str) -> None:
    assert recipients(f"<ann@there.example>: {number} and so on", (), SENDER)[0].code == 0
