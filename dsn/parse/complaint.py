"""Complaints: ARF (RFC 5965), which RFC 9477 asks for too, and two forms that others have instead.

Outlook.com's JMRP sends the mail with X-HmXmrOriginalRecipient in its header and no report; XARF, which RFC 9477
allows, is JSON that holds the mail.
"""

import json
import re
from typing import Any, NamedTuple

from dsn.parse.fields import addresses, as_text, fields, first, first_address
from dsn.parse.mime import Part
from dsn.parse.result import NO_FIELDS, Complaint, Fields, Kind

_TYPE = "message/feedback-report"
_NO_COMPLAINT = frozenset({"auth-failure", "not-spam", "dkim", "dmarc"})
_OPT_OUT = frozenset({"opt-out", "opt-out-list"})
_JMRP = "x-hmxmroriginalrecipient"
#: A report that is not marked as one: it has the three fields that RFC 5965 3.1 requires, in any order.
_LOOSE = re.compile(
    r"(?=(?:[\w-]{1,60}:.*\n)*?Feedback-Type:)(?=(?:[\w-]{1,60}:.*\n)*?User-Agent:)(?:[\w-]{1,60}:.*\n)*?Version:",
    re.IGNORECASE,
)
#: Addresses that are told.
MAX_ABOUT = 100


class Report(NamedTuple):
    """What somebody says about a mail."""

    kind: Kind
    rule: str
    complaint: Complaint
    about: tuple[str, ...]


def read(parts: list[Part], returned: Fields) -> Report | None:
    """The feedback report in these parts; None where there is none. ``returned``: fields of the mail it is about."""
    for part in parts:
        if part.type == _TYPE or (part.type == "text/plain" and _LOOSE.match(part.text)):
            return _arf(_unfolded(part), returned)
    if about := addresses(first(returned, _JMRP)):
        return Report(Kind.COMPLAINT, "jmrp", Complaint("abuse"), tuple(about[:MAX_ABOUT]))
    for part in parts:
        if part.type == "application/json" and (report := _xarf(load(as_text(part.data())))):
            return report
    return None


def _unfolded(part: Part) -> Fields:
    return fields(as_text(part.data()).replace("\r\n", "\n").lstrip("\n"))


def _arf(report: Fields, returned: Fields) -> Report:
    type_ = first(report, "feedback-type").lower() or "abuse"
    incidents = first(report, "incidents")[:9]
    complaint = Complaint(
        type=type_,
        mail_from=first_address(first(report, "original-mail-from")),
        source_ip=first(report, "source-ip")[:60],
        user_agent=first(report, "user-agent")[:200],
        incidents=int(incidents) if incidents.isascii() and incidents.isdigit() else 1,
        reported_domains=report.get("reported-domain", ())[:MAX_ABOUT],
        fields=report,
    )
    # RFC 5965 3.2; Removal-Recipient is of its drafts, and still sent. Redacted ones (RFC 6590) are no addresses
    names = ("original-rcpt-to", "removal-recipient", "redacted-address")
    found = [one for name in names for value in report.get(name, ()) for one in addresses(value)]
    found = found or addresses(first(returned, _JMRP)) or addresses(first(returned, "to"))
    kind = Kind.UNSUBSCRIBE if type_ in _OPT_OUT else Kind.NOTE if type_ in _NO_COMPLAINT else Kind.COMPLAINT
    return Report(kind, "rfc5965", complaint, tuple(dict.fromkeys(found))[:MAX_ABOUT])


def load(text: str) -> dict[str, Any]:
    """The JSON object that a text begins with, or nothing."""
    begin = text.find("{")
    if begin < 0:
        return {}
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text, begin)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _xarf(data: dict[str, Any]) -> Report | None:
    report = data.get("Report")
    if not (isinstance(report, dict) and str(report.get("ReportType", "")).lower() in ("spam", "phishing", "malware")):
        return None
    about = addresses(str(report.get("SmtpRcptToAddress", "")))
    complaint = Complaint(
        type={"phishing": "fraud", "malware": "virus"}.get(str(report["ReportType"]).lower(), "abuse"),
        mail_from=first_address(str(report.get("SmtpMailFromAddress", ""))),
        source_ip=str(report.get("SourceIp", ""))[:60],
        fields=NO_FIELDS,
    )
    return Report(Kind.COMPLAINT, "xarf", complaint, tuple(about[:MAX_ABOUT]))


def sample_of_xarf(parts: list[Part]) -> str:
    """The mail that an XARF report holds; ``""`` where it holds none in clear."""
    for part in parts:
        if part.type == "application/json":
            report = load(as_text(part.data())).get("Report")
            samples = report.get("Samples") if isinstance(report, dict) else None
            for sample in samples if isinstance(samples, list) else []:
                if isinstance(sample, dict) and isinstance(payload := sample.get("Payload"), str):
                    return payload.replace("\r\n", "\n")
    return ""
