"""SMTP replies in running text: where one begins, its codes, its words on one line."""

import re
from collections.abc import Sequence
from typing import NamedTuple

#: Characters of a diagnostic that are kept, and lines it may have.
LONGEST, LINES = 1000, 8

#: RFC 5321 4.2: a code begins a reply; no part of a number, an address or a time.
_END = r"(?=[-\s:,;]|$)(?![-\s]+(?:bytes|octets|kb|seconds|minutes|hours|days)\b)"
_BEGIN = re.compile(rf"([245][0-5]\d){_END}")
#: Digits first: so it is found four times as fast.
_CODE = re.compile(rf"([45][0-5]\d)(?<![\w./=@-]\d\d\d)(?<!\d:\d\d\d)(?<!\]:\d\d\d){_END}")
#: RFC 3463; qmail and others write it as ``(#5.1.1)``.
_ENHANCED = re.compile(r"(?<![\w.])([245]\.\d{1,3}\.\d{1,3})(?![\w-]|\.\d)")
#: The code that is said again in front of each line of a reply.
_AGAIN = re.compile(r"\W*([245]\d\d)[- ](?:[245]\.\d{1,3}\.\d{1,3}\s+)?")


class Codes(NamedTuple):
    """Of a reply: 0 and ``""`` for none."""

    code: int
    enhanced: str


def codes(text: str) -> Codes:
    """The codes of what a server said."""
    text = text[:LONGEST]
    begin = _BEGIN.match(text) or _CODE.search(text)
    enhanced = (begin and _ENHANCED.search(text, begin.end())) or _ENHANCED.search(text)
    return Codes(int(begin[1]) if begin else 0, enhanced[1] if enhanced else "")


def begins(line: str) -> int:
    """Where in a line a refusal begins; -1 for nowhere."""
    match = _CODE.search(line[:LONGEST])
    return match.start() if match else -1


def from_lines(lines: Sequence[str], at: int = 0) -> str:
    """A reply on one line: what begins at a place in the first of these, up to an empty line or another reply."""
    said = [lines[0][at:]]
    for line in lines[1:LINES]:
        again = _AGAIN.match(line)
        if not line.strip() or (again and not said[0].startswith(again[1])):
            break
        said.append(line[again.end() :] if again else line)
    return one_line(" ".join(said))


def one_line(text: str) -> str:
    """A diagnostic without line breaks and what cannot be printed."""
    kept = " ".join(text[: 4 * LONGEST].split())[:LONGEST]
    return kept if kept.isprintable() else "".join(letter for letter in kept if letter.isprintable())
