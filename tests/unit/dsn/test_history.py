"""What is told of the delivery that something came back about."""

from typing import Any

from support import make_entry

from common.classify.reading import classifier
from dsn.history import _COLUMNS, _known
from dsn.matching import How, Match
from dsn.parse import Complaint, Feedback, Kind, Recipient
from dsn.rows import rows

SUBMISSION = "01k804kgf54oikkgd218"


def row(type: str, **values: Any) -> dict[str, Any]:
    return dict.fromkeys(_COLUMNS, "") | {"submission": SUBMISSION, "type": type, "recipients": [], "tags": []} | values


def test_a_complaint_is_about_the_address_and_the_provider_that_it_was_sent_by_and_to() -> None:
    known = _known(
        f"{SUBMISSION}-1",
        [
            row("accepted", recipients=["ann@a.example"], pool="bulk", tags=["spring"]),
            row("deferred", delivery=f"{SUBMISSION}-1", source_address="192.0.2.1", provider="google"),
            row("delivered", delivery=f"{SUBMISSION}-1", source_address="192.0.2.2", provider="google"),
        ],
    )
    complaint = Feedback(Kind.COMPLAINT, "test", complaint=Complaint("abuse"))
    match = Match(How.TOKEN, None, f"{SUBMISSION}-1", SUBMISSION)
    [told] = rows(make_entry("fbl@bounces.example.net"), complaint, match, known, "dsn-0", classifier())
    assert (told.pool, told.source_address, told.provider, told.recipient, told.tags) == (
        "bulk", "192.0.2.2", "google", "ann@a.example", ("spring",),
    )  # fmt: skip


def test_what_a_report_says_has_its_codes_in_columns_of_their_own() -> None:
    result = Recipient("ann@a.example", action="failed", status="5.1.1", code=550, text="550 5.1.1 550-box unknown")
    match = Match(How.TOKEN, None, f"{SUBMISSION}-1", SUBMISSION)
    report = Feedback(Kind.REPORT, "test", recipients=(result,))
    [told] = rows(make_entry("x@bounces.example.net"), report, match, None, "dsn-0", classifier())
    assert (told.code, told.enhanced_code, told.text) == (550, "5.1.1", "550-box unknown")
