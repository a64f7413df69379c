"""The parts of a mail (RFC 2046), as far as reading what came back takes them.

No parser of everything: what is attached is found and left alone, and nothing inside message/rfc822 is looked at.
The work is bounded whatever comes: READ bytes of the mail, HEADER of each header section, PARTS, DEPTH, and TEXT of
what is decoded. The standard library's parser takes every part of 50 MB apart.
"""

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64, a2b_qp
from functools import cached_property
from html import unescape

from dsn.parse.fields import as_text, fields, first, in_charset
from dsn.parse.result import Fields

#: Bytes of the mail that are read: some 8,000 recipients of a report and their texts.
READ = 4_000_000
#: Bytes of one header section.
HEADER = 256_000
#: Leaves that are looked at, and multiparts within one another.
PARTS, DEPTH = 200, 10
#: Bytes of a text before it is decoded.
TEXT = 128_000

_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}")
_PARAMETER = re.compile(r""";\s*([\w*'-]{1,60})\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)""")
_PARAMETERS = 2000  # characters of them
#: A delimiter, and a field of its part: where the boundary that was named is nowhere, this is likely what is meant.
_GUESS = re.compile(rb"^--([^\s-].{0,198}?|-.{0,198}?[^\s-])[ \t]*\n[A-Za-z][A-Za-z-]{0,60}:", re.MULTILINE)
_GUESSED_IN = 64_000
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


class Part:
    """A part without parts, or the whole mail."""

    def __init__(self, data: bytes) -> None:
        """``data``: header section, blank line, body; lines end in LF."""
        if data.startswith(b"\n"):
            head, self.body = b"", data[1:]
        else:
            end = data.find(b"\n\n")
            head, self.body = (data, b"") if end < 0 else (data[:end], data[end + 2 :])
        self.header = head[:HEADER]

    @cached_property
    def fields(self) -> Fields:
        """Of its own header section."""
        return fields(as_text(self.header))

    @cached_property
    def type(self) -> str:
        """The media type in lower case."""
        match = _TYPE.match(first(self.fields, "content-type"))
        return match[0].lower() if match else "text/plain"

    def parameter(self, name: str) -> str:
        """A parameter of the Content-Type field."""
        for found, value in _PARAMETER.findall(first(self.fields, "content-type")[:_PARAMETERS]):
            if found.lower() == name:
                return str(value).strip('"')
        return ""

    def data(self, limit: int = TEXT) -> bytes:
        """So many bytes of the body, and what they stand for where they are encoded (RFC 2045 6)."""
        body = self.body[:limit]
        encoding = first(self.fields, "content-transfer-encoding").lower()
        if encoding == "quoted-printable":
            return a2b_qp(body)
        if encoding == "base64":
            return _base64(body)
        return body

    def holds(self, type_: str) -> bool:
        """Whether the mail in it is of that type."""
        return Part(self.data(HEADER).replace(b"\r\n", b"\n").lstrip(b"\n")).type == type_

    @cached_property
    def text(self) -> str:
        """Its text; of HTML the words."""
        text = in_charset(self.data(), self.parameter("charset")).replace("\r\n", "\n").replace("\r", "\n")
        return words_of_html(text) if self.type == "text/html" else text


def _base64(body: bytes) -> bytes:
    digits = _NO_BASE64.sub(b"", body)
    if len(digits) % 4 == 1:  # cut off in the middle
        digits = digits[:-1]
    try:
        return a2b_base64(digits + b"=" * (-len(digits) % 4))
    except BinasciiError:
        return body


def leaves(message: bytes) -> tuple[Part, list[Part]]:
    """The mail as one, and its parts in their order; of one without parts itself."""
    # some turn the CR LF of what a server said into CR CR LF
    data = message[:READ].replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip(b"\n")
    root = Part(data)
    found: list[Part] = []
    waiting = [(root, 0)]
    while waiting and len(found) < PARTS:
        part, depth = waiting.pop()
        inside = _split(part) if part.type.startswith("multipart/") and depth < DEPTH else []
        if inside:
            waiting.extend((Part(one), depth + 1) for one in reversed(inside))
        else:
            if part.type.startswith("multipart/"):  # of which no part can be found: it is read as it is
                part.type = "text/plain"
            found.append(part)
    return root, found


def _split(part: Part) -> list[bytes]:
    body = b"\n" + part.body
    named = part.parameter("boundary").rstrip().encode("utf-8", "surrogateescape")
    if named and (pieces := _delimited(body, b"\n--" + named)):
        return pieces
    guessed = _GUESS.search(part.body[:_GUESSED_IN])
    return _delimited(body, b"\n--" + guessed[1]) if guessed else []


def _delimited(body: bytes, delimiter: bytes) -> list[bytes]:
    """What stands between delimiter lines (RFC 2046 5.1.1); the last may lack its end."""
    pieces: list[bytes] = []
    start, at = -1, body.find(delimiter)
    while at >= 0 and len(pieces) < PARTS:
        line_end = body.find(b"\n", at + 1)
        line_end = len(body) if line_end < 0 else line_end
        rest = body[at + len(delimiter) : min(line_end, at + len(delimiter) + 100)].strip()
        if rest in (b"", b"--"):
            if start >= 0:
                pieces.append(body[start:at])
            start = line_end + 1
            if rest:
                return pieces
        at = body.find(delimiter, line_end)
    if start >= 0 and len(pieces) < PARTS:
        pieces.append(body[start:])
    return pieces


_BREAKS = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table|/?blockquote)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def words_of_html(html: str) -> str:
    """What HTML says, roughly: blocks as lines, no styles and scripts."""
    for element in ("style", "script", "head"):
        html = _without(html, element)
    return unescape(_TAG.sub("", _BREAKS.sub("\n", html.replace("\n", " ")))).replace("\xa0", " ")


def _without(html: str, element: str) -> str:
    """All but these elements. One that has no end ends the text."""
    begin, end = (re.compile(rf"<{mark}{element}[\s>]", re.IGNORECASE) for mark in ("", "/"))
    kept, at = [], 0
    while start := begin.search(html, at):
        kept.append(html[at : start.start()])
        stop = end.search(html, start.end())
        if stop is None:
            return "".join(kept)
        at = stop.end()
    return "".join([*kept, html[at:]])
