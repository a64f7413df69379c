"""SMTP replies: bytes in, replies out (RFC 5321 4.2)."""

import re
from dataclasses import dataclass

#: RFC 5321 4.5.3.1.5 says 512 bytes; servers that explain themselves exceed it.
MAX_LINE = 4096
MAX_LINES = 128
MAX_BUFFER = 64 * 1024
MAX_TEXT = 1000

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 2034 4: class, subject and detail stand before the text of every line
_ENHANCED = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?= |$)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class ReplyError(ValueError):
    """Bytes that are no SMTP reply; nothing that follows them can be trusted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply; ``lines`` without codes and without unprintable characters."""

    code: int
    enhanced: str
    """``""`` when the server gave none that agrees with the code."""
    lines: tuple[str, ...]

    @property
    def kind(self) -> int:
        """The first digit: 2 done, 3 go on, 4 not now, 5 never."""
        return self.code // 100

    @property
    def text(self) -> str:
        """All lines as one, cut to what a log line bears."""
        return " ".join(line for line in self.lines if line)[:MAX_TEXT]

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))


class ReplyParser:
    """Takes what a server sends in any pieces and gives whole replies."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._code = b""
        self._lines: list[bytes] = []

    @property
    def pending(self) -> bool:
        """Something was received that no reply has used up."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> None:
        """Add received bytes. Raises ReplyError when more lies unread than any dialogue needs."""
        self._buffer += data
        if len(self._buffer) > MAX_BUFFER:
            raise ReplyError("too much data")

    def next(self) -> Reply | None:
        """The next reply, or None until more is fed. Raises ReplyError."""
        while (end := self._buffer.find(b"\n", 0, MAX_LINE)) >= 0:
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            if self._add(line):
                return self._finish()
        if len(self._buffer) >= MAX_LINE:
            raise ReplyError("line too long")
        return None

    def _add(self, line: bytes) -> bool:
        """Take one line; True when it is a reply's last."""
        match = _LINE.fullmatch(line)
        # RFC 5321 4.2.1: all lines of a reply have the same code
        if not match or (self._lines and match[1] != self._code):
            raise ReplyError(f"not an SMTP reply: {_printable(line[:80])}")
        self._code = match[1]
        self._lines.append(match[3] or b"")
        if len(self._lines) > MAX_LINES:
            raise ReplyError("too many lines")
        return match[2] != b"-"

    def _finish(self) -> Reply:
        code, lines, enhanced = int(self._code), [], ""
        for line in map(_printable, self._lines):
            match = _ENHANCED.match(line)
            if match and match[1] == str(code // 100):
                enhanced = match[0]
                line = line[match.end() :].lstrip()
            lines.append(line)
        self._lines = []
        return Reply(code, enhanced, tuple(lines))


def _printable(raw: bytes) -> str:
    return _UNPRINTABLE.sub("?", raw.decode("utf-8", "replace"))
