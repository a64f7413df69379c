"""Delivery status notifications: RFC 3464, and RFC 6533 for addresses beyond ASCII."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dsn.parse.fields import as_text, fields, first, typed, typed_address
from dsn.parse.mime import READ, Part
from dsn.parse.reply import codes, one_line
from dsn.parse.result import Fields, Recipient

TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
#: That are reported of one mail; the READ bytes hold hardly more.
MAX_RECIPIENTS = 20_000

_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_FINAL = re.compile(r"^Final-Recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)
#: A line that is neither a field nor folded. Some reports break long diagnostics so.
_BROKEN = re.compile(r"\n(?![ \t]|[A-Za-z][\w-]{0,60}[ \t]*:)(?=[^\n])")
_ACTION = re.compile(r"\s*([A-Za-z][A-Za-z-]{0,30})")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}$")
#: A report that is not marked as one.
_LOOSE = re.compile(r"^(?:Reporting-MTA|Final-Recipient|Original-Recipient)[ \t]*:", re.IGNORECASE | re.MULTILINE)


class Report(NamedTuple):
    """What the machine-readable part says."""

    recipients: tuple[Recipient, ...]
    fields: Fields
    """Per message (RFC 3464 2.2)."""

    @property
    def reporting_mta(self) -> str:
        """Who reports."""
        return typed(first(self.fields, "reporting-mta"))[1]


def read(parts: list[Part]) -> Report | None:
    """The report in these parts; None where there is none that names a recipient."""
    for part in parts:
        if part.type in TYPES and (report := parse(as_text(part.data(READ)))).recipients:
            return report
    for part in parts:
        if part.type == "text/plain" and (begin := _LOOSE.search(part.text)):
            report = parse(part.text[begin.start() :])
            if any("@" in recipient.recipient for recipient in report.recipients):
                return report
    return None


def parse(text: str) -> Report:
    """Groups of fields: first those of the message, then a group for each recipient."""
    message: dict[str, tuple[str, ...]] = {}
    found: list[dict[str, tuple[str, ...]]] = []
    for group in _groups(_BROKEN.sub("\n ", text.replace("\r\n", "\n"))):
        if "final-recipient" in group or "original-recipient" in group:
            found.append(dict(group))
            if len(found) >= MAX_RECIPIENTS:
                break
        else:  # the message's, or a recipient's with an empty line in the middle
            into = found[-1] if found else message
            for name, values in group.items():
                into.setdefault(name, values)
    recipients = tuple(recipient for group in found if (recipient := _recipient(group)))
    return Report(recipients, message or next(iter(found), {}))


def _groups(text: str) -> Iterator[Fields]:
    for block in _BLANK.split(text.strip("\n"), 2 * MAX_RECIPIENTS):
        starts = [match.start() for match in _FINAL.finditer(block)]
        if len(starts) < 2:
            yield fields(block)
            continue
        # recipients without an empty line between them
        yield fields(block[: starts[1]])
        for start, end in zip(starts[1:], [*starts[2:], len(block)], strict=True):
            yield fields(block[start:end])


def _recipient(group: Fields) -> Recipient | None:
    original = typed_address(first(group, "original-recipient"))
    address = typed_address(first(group, "final-recipient")) or original
    if not address or group.keys().isdisjoint(("action", "status", "diagnostic-code")):
        return None
    status = (first(group, "status").split() or [""])[0][:20]  # RFC 3464 2.3.4: a comment may follow
    action = _ACTION.match(first(group, "action"))
    type_, text = _diagnostic(first(group, "diagnostic-code"))
    target = typed_address(first(group, "x-actual-recipient"))  # sendmail's; its aliases lead to files and programs too
    said = codes(text)
    return Recipient(
        recipient=address,
        action=action[1].lower() if action else _action(status),
        original_recipient=original,
        status=status,
        code=said.code,
        enhanced_code=said.enhanced or (status if _STATUS.match(status) else ""),
        text=text,
        diagnostic_type=type_,
        remote_mta=typed(first(group, "remote-mta"))[1],
        target=target if "@" in target else "",
    )


def _action(status: str) -> str:
    """What a status without an action says. It was tried for the last time unless that is told."""
    return "delivered" if status.startswith("2") else "failed"


_DIAGNOSTIC = re.compile(r"\s*([A-Za-z][\w-]{0,40})\s*;\s*")
#: With which a program ended (x-unix): the words of the report say it better.
_EXIT_STATUS = re.compile(r"\d{1,3}\s*$")


def _diagnostic(value: str) -> tuple[str, str]:
    """Type and text (RFC 3464 2.3.6): comments are part of what was said."""
    match = _DIAGNOSTIC.match(value)
    if match and _EXIT_STATUS.match(value, match.end()):
        return match[1].lower(), ""
    return (match[1].lower(), one_line(value[match.end() :])) if match else ("", one_line(value))
