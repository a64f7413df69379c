"""How hard a report is on the recipient of our delivery: only what is said of that address counts in full."""

import pytest
from support import make_entry

from common.classify.reading import classifier
from common.event import Type
from dsn.history import Delivery
from dsn.matching import How, Match
from dsn.parse import Feedback, Kind, Recipient
from dsn.rows import rows

OURS, FAR = "Team@there.example", "carl@far.example"
KNOWN = Delivery(submission="01k804kgf54oikkgd218", delivery="01k804kgf54oikkgd218-1", recipient=OURS)
UNKNOWN = "550 5.1.1 No such user"


def told(known: Delivery | None = KNOWN, **said: str) -> tuple[str, str]:
    """Class and type of a report that says this of a recipient."""
    result = Recipient(**{"recipient": OURS, "action": "failed", "code": 550, "text": UNKNOWN, "phase": "rcpt"} | said)  # type: ignore[arg-type]
    feedback = Feedback(kind=Kind.REPORT, rule="rfc3464", recipients=(result,))
    [row] = rows(make_entry(), feedback, Match(How.RETURN_PATH), known, "dsn-1", classifier())
    assert row.type == Type.DSN
    return row.bounce_class, row.bounce_type


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"recipient": "team@there.example"},
        {"recipient": "team"},
        {"text": "550 5.1.1 <team@there.example>: No such user"},
        {"text": f"{UNKNOWN}; ask <postmaster@there.example>"},
    ],
)
def test_our_recipient_is_unknown(said: dict[str, str]) -> None:
    assert told(**said) == ("invalid-recipient", "hard")


@pytest.mark.parametrize(
    "said",
    [
        {"recipient": FAR, "original_recipient": OURS},  # Postfix
        {"target": FAR},  # sendmail, Exim
        {"text": f"550 5.1.1 <{FAR}>: No such user"},
        {"text": f"550 <{FAR}> unknown user"},
    ],
)
def test_an_alias_is_not_unknown_because_one_that_it_leads_to_is(said: dict[str, str]) -> None:
    assert told(**said) == ("invalid-recipient", "soft")


def test_of_nothing_that_is_known_the_words_count() -> None:
    assert told(known=None, recipient=FAR) == ("invalid-recipient", "hard")
