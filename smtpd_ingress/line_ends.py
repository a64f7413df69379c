"""Line ends of content, without I/O: what goes on from here has CRLF alone (RFC 5321 2.3.8), and no NUL.

A server that lets a bare CR or LF pass lends itself to those who smuggle a message inside another one past a
next hop that takes ``LF . LF`` for the end.
"""

import re

from common.codes import BAD_CONTENT
from smtpd_ingress.rejection import RefusedError

#: Bytes of a line. RFC 5322 2.1.1 has 998; programs that send more are many, and none is refused for it.
MAX_LINE = 2**20
_CRLF, _LF, _CR, _NUL = b"\r\n", b"\n", b"\r", b"\0"
_OTHERS = bytes(set(range(256)) - set(b"\r\n"))
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LONE_CR = re.compile(rb"\r(?!\n)")
_CRS = re.compile(rb"\r+\n?")


class LineEnds:
    """Takes content in any pieces, gives it back with CRLF line ends; the pieces make no difference.

    What is not so is refused, or with ``fix`` mended: a bare LF, and CRs with an LF behind them, become CRLF;
    other CRs become a blank, for as a line end one would begin a field that no other reader of the message sees;
    NUL goes.
    """

    def __init__(self, *, fix: bool) -> None:
        self._fix = fix
        self._held = b""  # a CR at the end: an LF may follow
        self._lines = self._length = 0
        """Lines that have ended, bytes of the one that has not."""

    def feed(self, data: bytes) -> bytes:
        """The next bytes. Raises RefusedError."""
        if _NUL in data:
            data = self._without_nul(data)
        data, self._held = self._held + data, b""
        if data.endswith(_CR):
            data, self._held = data[:-1], _CR
        ends = data.translate(None, _OTHERS)
        pairs = len(ends) // 2
        # CR and LF by turns, and no CR without its LF: much quicker than counting pairs.
        if ends != _CRLF * pairs or _LONE_CR.search(data):
            data = self._mended(data)
            pairs = data.count(_CRLF)
        if self._length + len(data) > MAX_LINE:
            self._check_lengths(data.split(_CRLF))
        self._length = len(data) - data.rfind(_LF) - 1 if pairs else self._length + len(data)
        self._lines += pairs
        return data

    def finish(self) -> bytes:
        """What is left, and the CRLF that content of BDAT may lack (RFC 3030 section 2). Raises RefusedError."""
        if self._held and not self._fix:
            raise self._refused(self._lines, "bare CR")
        return _CRLF if self._length or self._held else b""

    def _without_nul(self, data: bytes) -> bytes:
        if not self._fix:
            raise self._refused(self._lines + data[: data.index(_NUL)].count(_CRLF), "NUL", "encode the part (MIME)")
        return data.replace(_NUL, b"")

    def _mended(self, data: bytes) -> bytes:
        if not self._fix:
            found = _BARE.search(data)
            assert found
            what = "bare CR" if found[0] == _CR else "bare LF"
            raise self._refused(self._lines + data.count(_CRLF, 0, found.start()), what)
        if self._held:  # belongs to the CRs before it
            data = data.rstrip(_CR)
        data = _CRS.sub(lambda found: _LF if found[0].endswith(_LF) else b" ", data.replace(_CRLF, _LF))
        return data.replace(_LF, _CRLF)

    def _check_lengths(self, lines: list[bytes]) -> None:
        for number, line in enumerate(lines):
            if len(line) + (0 if number else self._length) > MAX_LINE:
                raise self._refused(self._lines + number, f"more than {MAX_LINE} bytes", "break the line or encode it")

    def _refused(self, before: int, what: str, remedy: str = "end lines with CRLF") -> RefusedError:
        return RefusedError(BAD_CONTENT.but(f"Line {before + 1} of the message: {what}; {remedy}"))
