"""The mail that a report is about: what of it came back, and what else tells which it was."""

import re
from itertools import islice
from textwrap import dedent
from typing import NamedTuple

from dsn.parse.fields import as_text, fields, first, message_ids
from dsn.parse.mime import HEADER, Part
from dsn.parse.result import NO_FIELDS, Fields, Original
from dsn.parse.rules import group

#: RFC 6522 3 and RFC 6533 6; the others are what some have instead.
TYPES = frozenset({
    "message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers",
    "text/rfc822-header", "message/rfc822-headers", "message/rfc822-header", "message/partial",
})  # fmt: skip
#: Message-IDs that are told; lines in which the beginning of an original is looked for.
MAX_IDS, _LINES = 50, 4000

_FIELD = re.compile(
    r"(return-path|received|message-id|from|to|subject|date|mime-version|content-type|x-[\w-]{1,60})\s*:", re.IGNORECASE
)
#: Which a mail has that was on its way; what a report says of one has them not.
_SURE = frozenset({"return-path", "received", "message-id"})
_SOME = 3
#: Lines without letters; it matches always.
_RULE = re.compile(r"(?:[^\w\n]*\n)*")
_QUOTED_ID = re.compile(r"\bmessage-?id\b[^<>\n]{0,40}(<[^<>\s@]{1,500}@[^<>\s@]{1,300}>)", re.IGNORECASE)


class Told(NamedTuple):
    """A text without what came back behind it."""

    words: str
    returned: str
    """The original, or its header."""


def split(text: str) -> Told:
    """The words of a report, and the original behind them: behind a line that says so, or where a header begins."""
    separator = group("original").pattern("words").search(text)
    if separator:
        behind = text[separator.end() :]
        return Told(text[: separator.start()], dedent(_RULE.sub("", behind, count=1)))
    at = _header_in(text)
    return Told(text[:at], text[at:]) if at >= 0 else Told(text, "")


def _header_in(text: str) -> int:
    """Where some lines in a row are fields that only a mail has that was on its way; -1 for nowhere."""
    at = start = 0
    names: set[str] = set()
    for line in islice(text.splitlines(keepends=True), _LINES):
        field = _FIELD.match(line)
        if field:
            start = start if names else at
            names.add(field[1].lower())
            if len(names) >= _SOME and names & _SURE:
                return start
        elif not (names and line[:1] in (" ", "\t") and line.strip()):
            names.clear()
        at += len(line)
    return -1


def of(parts: list[Part], returned: str, quoted: Fields, words: str, envelope_id: str = "") -> Original:
    """What identifies the mail.

    ``parts`` of the mail that came; ``returned`` behind its words; ``quoted``: header fields of it, and what a
    report says besides.
    """
    header = _header(parts) or returned.partition("\n\n")[0].encode("utf-8", "replace")[:HEADER]
    own = fields(as_text(header)) if header else NO_FIELDS
    ids = [
        *message_ids(first(own, "message-id")),
        *message_ids(first(quoted, "original-message-id", "x-original-message-id", "message-id")),
        *(identifier for identifier in _QUOTED_ID.findall(words)),
        *message_ids(first(quoted, "in-reply-to")),
        *reversed(message_ids(first(quoted, "references"))),
    ]
    return Original(
        message_ids=tuple(dict.fromkeys(ids))[:MAX_IDS],
        envelope_id=envelope_id or first(own, "original-envelope-id"),
        fields=own,
        header=header,
    )


def is_returned(part: Part) -> bool:
    """Whether a part is what came back: by its type, or because its fields are those of a mail."""
    return part.type in TYPES or (not _SURE.isdisjoint(part.fields) and "from" in part.fields)


def _header(parts: list[Part]) -> bytes:
    for part in parts:
        if part.type in TYPES:
            head, _, _ = part.data(HEADER).lstrip(b"\n").partition(b"\n\n")
            return head
    for part in parts[1:]:
        if is_returned(part):
            return part.header
        if part.type == "text/plain" and _header_in(part.text) == 0:
            return part.text.partition("\n\n")[0].encode("utf-8", "replace")[:HEADER]
    return b""
