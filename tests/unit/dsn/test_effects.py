"""Who is suppressed for what came back: on proof only."""

from dataclasses import replace

import pytest

from common.event import Event, Type
from common.suppression.rules import Rules
from common.suppression.suppression import Source
from dsn.effects import suppressed
from dsn.history import Delivery
from dsn.matching import How, Match

KNOWN = Delivery(submission="01k804kgf54oikkgd218", delivery="01k804kgf54oikkgd218-1", sender="n@s.example")


def row(type_: Type = Type.DSN, bounce_type: str = "hard", **values: object) -> Event:
    base = {
        "time": 1.8e9, "sender": "n@s.example", "recipient": "b@x.example", "delivery": KNOWN.delivery,
        "bounce_type": bounce_type, "bounce_class": "mailbox-full" if bounce_type == "soft" else "invalid-recipient",
    }  # fmt: skip
    return Event(type=type_, **(base | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "source"),
    [
        ([row()], Source.BOUNCE),
        ([row(bounce_type="soft")], Source.COUNTED),
        ([row(), row()], Source.BOUNCE),
        ([row(), row(bounce_type="soft")], Source.COUNTED),
        ([row(), row(bounce_type="")], None),
        ([row(bounce_type="")], None),
        ([row(Type.COMPLAINT, "")], Source.COMPLAINT),
        ([row(Type.UNSUBSCRIBED, "")], Source.UNSUBSCRIBE),
        ([row(Type.AUTOREPLY, "")], None),
        ([row(Type.REPLY, "")], None),
        ([], None),
    ],
)
def test_what_it_leads_to(rows: list[Event], source: Source | None) -> None:
    for how in (How.RETURN_PATH, How.TOKEN):
        found = suppressed(Rules(), rows, Match(how), KNOWN)
        assert (found and found.source) == source
        assert found is None or (found.recipient, found.scope) == ("b@x.example", "@s.example")


@pytest.mark.parametrize("how", [How.MESSAGE_ID, How.NOTHING])
def test_nothing_without_proof(how: How) -> None:
    assert suppressed(Rules(), [row()], Match(how), KNOWN) is None
    assert suppressed(Rules(), [row()], Match(How.TOKEN), None) is None


@pytest.mark.parametrize("type_", [Type.DSN, Type.COMPLAINT, Type.UNSUBSCRIBED])
def test_where_the_sender_was_erased_nobody_is_suppressed_for_everybody(type_: Type) -> None:
    erased = replace(KNOWN, sender="")
    assert suppressed(Rules(), [row(type_, sender="")], Match(How.TOKEN), erased) is None


def test_its_words_are_kept() -> None:
    found = suppressed(Rules(), [row(Type.COMPLAINT, "", reason="abuse", text="Loop/1.0")], Match(How.TOKEN), KNOWN)
    assert found
    assert found.reason == "abuse: Loop/1.0"
