"""The rows of what came back: what strangers write comes in fit to be stored, printed and counted."""

import json
from dataclasses import replace

import pytest
from feedback_samples import SES_MAIL, notification
from feedback_support import report_on
from support import make_entry

from common.classify.reading import classifier
from common.event import Event, pack
from dsn.history import Delivery
from dsn.matching import How, Match
from dsn.parse import parse
from dsn.rows import MOST, rows

BACK = make_entry("fbl@bounces.example")
KNOWN = Delivery(submission="01k804kgf54oikkgd218", delivery="01k804kgf54oikkgd218-1", sender="n@s.example")
MATCH = Match(How.TOKEN, None, KNOWN.delivery, KNOWN.submission)



def told(message: bytes, match: Match = MATCH, known: Delivery | None = KNOWN) -> list[Event]:
    return rows(BACK, parse(message), match, known, "w", classifier())


@pytest.mark.parametrize("status", ["\ud8005.1.1", "5.1.1\0", "\x1b[2J"])
def test_whatever_a_status_is_its_row_can_be_stored_and_shown(status: str) -> None:
    bounced = [{"emailAddress": "ann@x.example\ud800", "status": status}]
    said = {"notificationType": "Bounce", "bounce": {"bouncedRecipients": bounced}, "mail": SES_MAIL}
    [row] = told(notification(json.loads(json.dumps(said))))
    assert row.enhanced_code.isprintable()
    assert pack([row])


def many(action: str) -> bytes:
    group = "Final-Recipient: rfc822; u{}@x.example\r\nAction: {}\r\nStatus: 5.1.1\r\n\r\n"
    groups = "".join(group.format(n, "failed") for n in range(5 * MOST)) + group.format("last", action)
    return report_on("ann@x.example").replace(b"Final-Recipient:", groups.encode() + b"Final-Recipient:")


def test_one_mail_is_few_rows() -> None:
    assert len(told(many("failed"))) == MOST
    assert len(told(many("failed"), Match(How.NOTHING), None)) == 1


def test_who_got_it_is_told_of_however_many_did_not() -> None:
    assert "delivered" in [row.reason for row in told(many("delivered"))]


@pytest.mark.parametrize(
    ("ours", "named", "type_"),
    [
        ("Ann@x.example", "ann@X.example", "hard"), ("ann@x.example", "other@y.example", "soft"),
        ("ann@x.example", "n@s.example", "soft"), ("", "other@y.example", "hard"),
    ],
)  # fmt: skip
def test_what_is_said_of_another_address_is_not_hard(ours: str, named: str, type_: str) -> None:
    [row] = told(report_on(named), known=replace(KNOWN, recipient=ours))
    assert (row.bounce_class, row.bounce_type) == ("invalid-recipient", type_)
