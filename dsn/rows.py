"""The rows that tell of a mail that came back; the same however often they are made. No I/O."""

import re
from collections.abc import Iterator
from typing import Any

from common.classify.classifier import Classifier
from common.codes import printable
from common.entry import Entry
from common.event import Event, Type
from common.ids import derived_id
from common.recipients import bare
from dsn.history import Delivery
from dsn.matching import Match
from dsn.parse import Feedback, Kind, Recipient

#: Recipients of one report that are told of; a mail of a stranger's about nobody of ours is one row whatever it names,
#: for each is counted, recorded and sent to webhooks.
MOST = 20
_LONGEST = 1000
#: Of whom a reply is, where it says that first.
_NAMED = re.compile(r"\b[45]\d\d[ -](?:#?[45]\.\d{1,3}\.\d{1,3} )?<([^<>\s@]{1,100}@[^<>\s]{1,255})>")
_TYPES = {
    Kind.REPORT: Type.DSN,
    Kind.COMPLAINT: Type.COMPLAINT,
    Kind.UNSUBSCRIBE: Type.UNSUBSCRIBED,
    Kind.REPLY: Type.REPLY,
    Kind.OTHER: Type.REPLY,
}


def rows(
    entry: Entry, feedback: Feedback, match: Match, known: Delivery | None, worker: str, classes: Classifier
) -> list[Event]:
    """A row for each recipient that a report tells of, one for everything else. ``entry`` is the mail's own.

    Their ids and times come from the entry: who tells again, after a crash, tells the same. A delivery has one
    recipient, so of several in a report, which an alias has, each is a row of that delivery.
    """
    about = _about(entry, match, known)
    made = []
    for number, said in enumerate(_said(feedback, about, classes, MOST if match.submission else 1)):
        row = Event(
            time=entry.accepted,
            type=_TYPES.get(feedback.kind, Type.AUTOREPLY),
            id=derived_id(entry.accepted, f"{entry.id} {number}"),
            worker=worker,
            phase=match.how,
            mx_address=entry.client_address,
            **said,
        )
        made.append(row)
    return made


def _about(entry: Entry, match: Match, known: Delivery | None) -> dict[str, Any]:
    """What was found out of the delivery; the mail's own where nothing was."""
    if not known:
        submission, delivery = (match.submission, match.delivery) if match.submission else (entry.submission, entry.id)
        return {"submission": submission, "delivery": delivery, "pool": entry.pool}
    return {name: getattr(known, name) for name in Delivery.__dataclass_fields__}


def _said(feedback: Feedback, about: dict[str, Any], classes: Classifier, most: int) -> Iterator[dict[str, Any]]:
    """What each row has of the feedback. The recipient is the delivery's: in reports it may be who that forwards to.

    Of more recipients than are told of those first that did not fail: whether any did not is what decides.
    """
    if feedback.kind is Kind.REPORT and feedback.recipients:
        for result in sorted(feedback.recipients, key=lambda one: one.failed)[:most]:
            verdict = _classes(result, about, classes) if result.failed else {}
            yield {"recipient": _text(result.recipient)} | about | _result(feedback, result) | verdict
        return
    reason, text = str(feedback.kind), feedback.subject
    if feedback.complaint:
        reason, text = feedback.complaint.type, feedback.complaint.user_agent
    who = next(iter(feedback.about), feedback.sender)
    yield {"recipient": _text(who)} | about | {"reason": _text(reason), "text": _text(text)}


def _result(feedback: Feedback, result: Recipient) -> dict[str, Any]:
    return {
        "reason": _text(result.action),
        "code": result.code,
        "enhanced_code": _text(result.enhanced_code or result.status),
        "text": _text(result.text),
        "mx_host": _text(result.remote_mta or feedback.reporting_mta),
    }


def _classes(result: Recipient, about: dict[str, Any], classes: Classifier) -> dict[str, str]:
    provider, ours = about.get("provider", ""), about.get("recipient", "")
    verdict = classes.classify(
        result.code, result.enhanced_code or result.status, result.text, provider=provider, reported=result.phase
    )
    is_hearsay = verdict.bounce_type == "hard" and ours and _is_of_another(result, ours)
    return {"bounce_class": verdict.bounce_class, "bounce_type": "soft" if is_hearsay else verdict.bounce_type}


def _is_of_another(result: Recipient, ours: str) -> bool:
    """Whether it is about an address that ours leads to: an alias may lead to others too, which got the mail."""
    named = _NAMED.search(result.text)
    addresses = (result.recipient, result.target, named[1] if named else "")
    return any("@" in one and bare(one) != bare(ours) for one in addresses)


def _text(text: str) -> str:
    return printable(text)[:_LONGEST]
