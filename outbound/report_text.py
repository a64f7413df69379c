"""What a report says to people: plain words first, then the server's own."""

import re
import textwrap
from email.utils import formatdate
from typing import NamedTuple

from common.entry import Entry
from common.event import Event, Type

#: How the attachment is called.
MESSAGE, HEADER = "Undelivered message", "Message headers"

_WIDTH = 76
#: A word longer than this is broken: with what stands around it, it would be too long for a line.
_LONGEST_WORD = 900
_LONG_WORD = re.compile(rf"([^\s]{{{_LONGEST_WORD}}})(?=[^\s])")
#: By the end of the enhanced code (RFC 3463); the first that matches counts.
_MEANINGS = [
    (r"1\.[13]", "There seems to be no such mailbox. Please check how the address is written."),
    (r"1\.2", "There is no such domain: the part behind the @ does not exist. Please check how it is written."),
    (r"1\.10", "This domain takes no mail at all."),
    (r"2\.1", "The mailbox is closed: it takes no mail at present."),
    (r"2\.2", "The mailbox is full. You may try again later, or reach the recipient in another way."),
    (r"2\.3|3\.4", "The message is too large for the recipient's mail server. Try a smaller one."),
    (r"4\.6", "The message would go round in a circle: the recipient's domain is not set up properly."),
    (r"4\..*", "The recipient's mail server could not be reached."),
    (r"6\..*", "The recipient's mail server does not take a message of this kind."),
    (r"7\..*", "The recipient's mail server does not want this message. It may take it for unwanted mail."),
]  # fmt: skip
_UNKNOWN = "The recipient's mail server does not take this message."
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


class Said(NamedTuple):
    """Why it was not delivered: in a server's words, or ours where ``host`` is ``""``. Both are visible text."""

    host: str
    words: str


_HAPPENED = {
    Type.DEFERRED: "Your message has not been delivered to this address yet:",
    Type.DELIVERED: "Your message was passed on for this address:",
}


def lines(entry: Entry, row: Event, hostname: str, said: Said, attached: str, until: float) -> list[str]:
    """The text's lines. ``attached`` is MESSAGE, HEADER or ``""`` for nothing; ``until`` as in ``report.build``."""
    source = f"The mail server {said.host} said:" if said.host else "The reason:"
    if row.type == Type.EXPIRED or row.reason == "delayed":
        source = f"After the last try {said.host or hostname} said:"
    paragraphs = [
        [f"This is the mail system at {hostname}."],
        [_HAPPENED.get(row.type, "Your message could not be delivered to this address:")],
        [f"    {visible(entry.recipient)}"],
        wrapped(_meaning(entry, row, until)),
    ]
    if said.words:
        paragraphs += [[source], [f"    {line}" for line in wrapped(said.words)]]
    paragraphs += [
        wrapped("If you sent the message to other addresses too, this does not concern them."),
        wrapped(_ATTACHED[attached]),
        wrapped(f"Whoever looks after {hostname} finds this delivery as {entry.id}."),
    ]
    return "\n\n".join("\n".join(paragraph) for paragraph in paragraphs).split("\n")


def wrapped(text: str, indent: str = "") -> list[str]:
    """Text in lines of at most 76 characters; only longer words make longer ones, and none of more than 950."""
    text = _LONG_WORD.sub(r"\1 ", text)
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


_ATTACHED = {
    MESSAGE: "Your message is attached below, behind a part for programs.",
    HEADER: "The header of your message is attached below, behind a part for programs.",
    "": "Your message itself cannot be attached: it could not be read any more.",
}


def _meaning(entry: Entry, row: Event, until: float) -> str:
    if row.type == Type.DEFERRED:
        waits, last = _duration(row.time - entry.waits_since), formatdate(until, localtime=True)
        return f"It has waited for {waits}. You need not send it again: it is tried until {last}."
    if row.type == Type.DELIVERED:
        return (
            "The mail server it was passed on to does not report what becomes of mail: expect no more news of this"
            " message, unless its delivery fails there."
        )
    if row.type == Type.EXPIRED:
        tried = _duration(row.time - entry.accepted)
        return f"It was tried for {tried}, and nobody took it. It will not be tried again."
    if row.type == Type.SUPPRESSED:
        return "This mail server sends no mail of yours to this address any more."
    detail = row.enhanced_code.partition(".")[2]
    meaning = next((words for pattern, words in _MEANINGS if re.fullmatch(pattern, detail)), _UNKNOWN)
    return f"{meaning} It will not be tried again."


def _duration(seconds: float) -> str:
    """A duration as people say it: ``5 days``."""
    for unit, length in _UNITS:
        if seconds >= length:
            number = round(seconds / length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "less than a minute"


def visible(text: str) -> str:
    """Text on one line, without what a reader would not see."""
    return "".join(c if c.isprintable() else "?" for c in text)
