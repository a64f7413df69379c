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
        self._fields: list[tuple[int, bytes]] = []
        """Where each starts, and its name."""
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
        if match := _FIELD.match(self._buffer, self._line, end):
            self._fields.append((self._line, match[1]))
        elif not (self._fields and self._buffer.startswith(_FOLDED, self._line)):
            self.done = True  # an empty line, or text that is no field: the body begins here
            return
        self._line = self._searched = next_line

    def split(self) -> tuple[list[Field], bytes]:
        """The fields and what follows them: the empty line, where there is one, and the body so far."""
        whole = bytes(self._buffer)
        ends = [*(start for start, _ in self._fields[1:]), self._line]
        fields = [
            Field(name.decode().lower(), whole[start:end])
            for (start, name), end in zip(self._fields, ends, strict=False)
        ]
        return fields, whole[self._line :]
