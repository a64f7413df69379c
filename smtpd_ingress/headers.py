"""The header section of a message: found in the stream, edited as bytes, never serialised anew.

A bare CR or LF ends a line here as well as CRLF does: on the way out they become CRLF, and what is a field
then has to be one now.
"""

import re
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
# RFC 5322 3.6.8: a name is printable without the colon; 4.5.3 allows blanks behind it.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FOLDED = (b" ", b"\t")


class Field(NamedTuple):
    """A field, folded lines included."""

    name: str
    """Lower case."""
    raw: bytes
    """With its line end."""

    @property
    def value(self) -> str:
        """Unfolded, without blanks around it."""
        text = self.raw.partition(b":")[2].decode("ascii", "replace")
        return re.sub(r"[\r\n]+", "", text).strip()


class HeaderReader:
    """Takes a message in any pieces until its header section has ended; linear in its length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._line = self._searched = 0
        self._starts: list[int] = []
        self.done = False

    @property
    def size(self) -> int:
        """Bytes of the header section so far."""
        return self._line if self.done else len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add bytes; ``done`` is set when the section's end is among them."""
        self._buffer += data
        while not self.done and (end := _LINE_END.search(self._buffer, self._searched)):
            self._take_line(end.start(), end.end())
        if not self.done:
            # A CR at the very end is looked at again: an LF may follow.
            self._searched = max(self._line, len(self._buffer) - 1)

    def _take_line(self, end: int, next_line: int) -> None:
        """Look at one line: a new field, more of the last one, or what comes after the header section."""
        if _FIELD.match(self._buffer, self._line, end):
            self._starts.append(self._line)
        elif not (self._starts and self._buffer.startswith(_FOLDED, self._line)):
            self.done = True  # an empty line, or text that is no field: the body begins here
            return
        self._line = self._searched = next_line

    def split(self) -> tuple[list[Field], bytes]:
        """The fields and what follows them: the empty line, where there is one, and the body so far."""
        ends = [*self._starts[1:], self._line]
        fields = [self._field(start, end) for start, end in zip(self._starts, ends, strict=False)]
        return fields, bytes(self._buffer[self._line :])

    def _field(self, start: int, end: int) -> Field:
        match = _FIELD.match(self._buffer, start, end)
        assert match
        return Field(match[1].decode().lower(), bytes(self._buffer[start:end]))
