"""Amazon SES tells what became of a mail as JSON, by mail too, through SNS."""

from typing import Any, NamedTuple

from dsn.parse import reply
from dsn.parse.complaint import load
from dsn.parse.fields import fields, message_ids
from dsn.parse.result import Complaint, Fields, Kind, Recipient

#: Recipients of one.
MAX_RECIPIENTS = 100


class Notification(NamedTuple):
    """What it says."""

    kind: Kind
    recipients: tuple[Recipient, ...]
    about: tuple[str, ...]
    complaint: Complaint | None
    reporting_mta: str
    message_ids: tuple[str, ...]
    header: Fields
    """Of the mail, where SES was told to put it in."""


def read(text: str) -> Notification | None:
    """The notification that a text begins with; None where it is none.

    https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
    """
    if text.lstrip()[:1] != "{":
        return None
    data = load(text)
    inner = data.get("Message")
    if isinstance(inner, str):  # as SNS packs it
        data = load(inner)
    what = data.get("notificationType") or data.get("eventType")
    mail = _table(data, "mail")
    if what == "Bounce":
        bounce = _table(data, "bounce")
        found = [_bounced(one) for one in _tables(bounce, "bouncedRecipients")]
        return _notification(Kind.REPORT, mail, found, reporter=_string(bounce, "reportingMTA"))
    if what == "Delivery":
        delivery = _table(data, "delivery")
        text = reply.one_line(_string(delivery, "smtpResponse"))
        names = delivery.get("recipients")
        to = [one for one in names if isinstance(one, str)] if isinstance(names, list) else []
        found = [Recipient(one, "delivered", "", "", *reply.codes(text), text, "smtp") for one in to[:MAX_RECIPIENTS]]
        return _notification(Kind.REPORT, mail, found, reporter=_string(delivery, "reportingMTA"))
    if what == "Complaint":
        complaint = _table(data, "complaint")
        said = Complaint(
            type=_string(complaint, "complaintFeedbackType").lower() or "abuse",
            mail_from=_string(mail, "source"),
            user_agent=_string(complaint, "userAgent")[:200],
        )
        about = tuple(_string(one, "emailAddress") for one in _tables(complaint, "complainedRecipients"))
        return _notification(Kind.COMPLAINT, mail, [], complaint=said, about=about)
    return None


def _notification(
    kind: Kind, mail: dict[str, Any], recipients: list[Recipient], *, reporter: str = "",
    complaint: Complaint | None = None, about: tuple[str, ...] = (),
) -> Notification:  # fmt: skip
    header = fields("\n".join(f"{_string(one, 'name')}: {_string(one, 'value')}" for one in _tables(mail, "headers")))
    ids = [*message_ids(next(iter(header.get("message-id", ())), ""))]
    ids += message_ids(_string(_table(mail, "commonHeaders"), "messageId"))
    told = tuple(recipient for recipient in recipients if recipient.recipient)
    who = tuple(one for one in about if one)
    return Notification(kind, told, who, complaint, reporter.removeprefix("dns;").strip(), tuple(ids), header)


def _bounced(one: dict[str, Any]) -> Recipient:
    text = reply.one_line(_string(one, "diagnosticCode"))
    type_, semicolon, rest = text.partition(";")
    type_, text = (type_.strip().lower(), rest.strip()) if semicolon and type_.isalnum() else ("", text)
    said, status = reply.codes(text), _string(one, "status")[:20]
    return Recipient(
        _string(one, "emailAddress"), _string(one, "action").lower()[:20] or "failed", "", status, said.code,
        said.enhanced or status, text, type_,
    )  # fmt: skip


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _tables(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = data.get(key)
    return [one for one in value if isinstance(one, dict)][:MAX_RECIPIENTS] if isinstance(value, list) else []


def _string(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value[:2000] if isinstance(value, str) else ""
