"""Message data as RFC 5321 4.5.2 frames it, without I/O.

Only CRLF.CRLF ends it. A bare CR or LF is content (``line_ends`` sees to it): a server that takes ``LF . CRLF``
and the like for the end lets a message smuggle another one behind itself.
"""

_CRLF, _DOT = b"\r\n", b"\r\n."
_END = b"\r\n.\r\n"


class DataReader:
    """Takes the data in any pieces, gives the message back without its stuffed dots."""

    def __init__(self) -> None:
        self._held = _CRLF  # the data begins as if a line had just ended …
        self._begun = False  # … whose CRLF is no part of the message
        self.done = False
        self.leftover = b""
        """What came after the end: the next commands (RFC 2920 3.1)."""

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes of the message; a few are held back while they may be the beginning of the end."""
        data = self._held + chunk
        dots = data.rfind(_DOT) >= 0  # most pieces of a message hold none; rfind is four times as quick as find
        end = data.find(_END) if dots else -1
        if end >= 0:
            self.done, self.leftover = True, data[end + len(_END) :]
            content = data[: end + len(_CRLF)]
        else:
            keep = next((n for n in range(len(_END) - 1, 0, -1) if data.endswith(_END[:n])), 0)
            content, self._held = data[: len(data) - keep], data[len(data) - keep :]
        if dots:  # RFC 5321 4.5.2: a line's first character goes if it is a dot.
            content = content.replace(_DOT, _CRLF)
        if content and not self._begun:
            self._begun, content = True, content[len(_CRLF) :]
        return content
