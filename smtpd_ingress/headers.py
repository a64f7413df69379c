"""The header section of a message: found in the stream, edited as bytes, never serialised anew.

It comes with CRLF line ends only (``line_ends``).
"""

import re
from typing import NamedTuple

from common.codes import TOO_BIG
from smtpd_ingress.rejection import RefusedError

#: Bytes of a header section, which is held in memory, and fields in it.
MAX_HEADER, MAX_FIELDS = 2**20, 1000
_END = b"\r\n\r\n"
# RFC 5322 3.6.8: a name is printable without the colon; 4.5.3 allows blanks behind it. 2.2.3: folded lines.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\r]*(?:\r\n[ \t][^\r]*)*+\r\n")


class Field(NamedTuple):
    """A field, folded lines included."""

    name: str
    """Lower case."""
    raw: bytes
    """With its line end."""

    @property
    def value(self) -> str:
        """Unfolded, without blanks around it."""
        return self.raw.partition(b":")[2].decode("ascii", "replace").replace("\r\n", "").strip()


class HeaderReader:
    """Takes a message in any pieces until its header section has ended; linear in its length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.done = False

    @property
    def held(self) -> int:
        """Bytes so far."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add bytes; ``done`` is set when the section's end is among them. Raises RefusedError."""
        searched = max(len(self._buffer) - len(_END) + 1, 0)
        self._buffer += data
        if self._buffer.find(_END, searched) >= 0 or self._buffer.startswith(b"\r\n"):
            self.done = True
        elif len(self._buffer) > MAX_HEADER:
            # Where a line is no field the body has begun without an empty line.
            self.done = b"\r\n" in self._split()[1]
            if not self.done:
                raise _too_big(f"{MAX_HEADER} bytes")

    def split(self) -> tuple[list[Field], bytes]:
        """The fields and what follows them: the empty line, where there is one, and the body so far.

        Raises RefusedError.
        """
        fields, rest = self._split()
        if len(self._buffer) - len(rest) > MAX_HEADER:
            raise _too_big(f"{MAX_HEADER} bytes")
        if len(fields) > MAX_FIELDS:
            raise _too_big(f"{MAX_FIELDS} fields")
        return fields, rest

    def _split(self) -> tuple[list[Field], bytes]:
        whole, end = bytes(self._buffer), 0
        fields: list[Field] = []
        while len(fields) <= MAX_FIELDS and (match := _FIELD.match(whole, end)):
            fields.append(Field(match[1].decode().lower(), match[0]))
            end = match.end()
        return fields, whole[end:]


def _too_big(limit: str) -> RefusedError:
    return RefusedError(TOO_BIG.but(f"Message header too big: more than {limit}"))
