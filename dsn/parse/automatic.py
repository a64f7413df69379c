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
    # a machine's answer (RFC 3834 5) has the subject and the words of our own mail: they are nobody's wish
    is_answer = first(root.fields, "auto-submitted").lower().startswith("auto-replied")
    for kind in (Kind.UNSUBSCRIBE, Kind.CHALLENGE):
        rules = group(kind)
        rule = rules.in_headers(root.fields)
        if not rule and not (is_answer and kind is Kind.UNSUBSCRIBE):
            rule = rules.search("subject", subject) or rules.search("words", start)
        if rule:
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
