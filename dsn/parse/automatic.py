"""What machines answer: vacations and other auto-replies (RFC 3834), challenges, receipts (RFC 8098), unsubscribing."""

from dsn.parse.fields import as_text, decoded, fields, first
from dsn.parse.mime import Part
from dsn.parse.result import Fields, Kind
from dsn.parse.rules import group

_RECEIPTS = frozenset({"message/disposition-notification", "message/global-disposition-notification"})
#: Of the words of an answer.
_SOON = 2000


def receipt(parts: list[Part]) -> Fields:
    """The fields of a disposition notification (RFC 8098 3.1); none where there is none."""
    for part in parts:
        if part.type in _RECEIPTS:
            return fields(as_text(part.data()).lstrip("\n"))
    return {}


def read(root: Part, words: str) -> tuple[Kind, str] | None:
    """Kind and rule of a mail that no person wrote, or that asks to be left alone; None of another."""
    subject = decoded(first(root.fields, "subject"))
    start = words[:_SOON]
    for kind in (Kind.UNSUBSCRIBE, Kind.CHALLENGE):
        rules = group(kind)
        if rule := rules.in_headers(root.fields) or rules.search("subject", subject) or rules.search("words", start):
            return kind, rule
    rules = group(Kind.AUTOREPLY)
    if _is_automatic(root.fields):
        return Kind.AUTOREPLY, "rfc3834"
    if rule := rules.in_headers(root.fields) or rules.search("subject", subject) or rules.search("words", start):
        return Kind.AUTOREPLY, rule
    return None


def _is_automatic(found: Fields) -> bool:
    """RFC 3834 5: anything but ``no``; parameters may follow."""
    value = first(found, "auto-submitted").partition(";")[0].partition("(")[0].strip().lower()
    return value not in ("", "no")
