"""Make a message fit the wire: CRLF line ends only, no bare CR, bare LF or NUL.

It happens before signing, so that no later hop has a reason to change what was signed (RFC 6376 5.3).
"""

import re

_EMPTY_LINE = re.compile(rb"^\r*\n", re.MULTILINE)
# The look behind keeps a long run of CRs from being looked through from each of them.
_LINE_END = re.compile(rb"(?<!\r)\r*\n|\r")


def normalise(message: bytes) -> bytes:
    """The message with CRLF line ends; the very same object when nothing is to do.

    The header ends where it ended. In the body bare CR and bare LF become CRLF (RFC 6376 5.3); CRs that stand
    before an LF are one line end with it. NUL goes: no line may hold it (RFC 5322 3.5, RFC 2045 2.7 and 2.8),
    and receivers cut, refuse or drop it as they like.
    """
    if _is_clean(message):
        return message
    end = _EMPTY_LINE.search(message)
    if end is None:
        return _header(message) or b"\r\n"
    body = _LINE_END.sub(b"\r\n", message[end.end() :].replace(b"\0", b""))
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return _header(message[: end.start()]) + b"\r\n" + body


def _is_clean(message: bytes) -> bool:
    pairs = message.count(b"\r\n")
    return (
        message.endswith(b"\r\n")
        and pairs == message.count(b"\n")
        and pairs == message.count(b"\r")
        and b"\0" not in message
    )


def _header(header: bytes) -> bytes:
    """Header lines with CRLF ends.

    A bare CR becomes a space here: as a line end it would start a field, or the body, that no other reader
    of the message sees. For the same reason a line that holds nothing but NULs does not become empty.
    """
    lines = (line.rstrip(b"\r") for line in header.replace(b"\0", b"").split(b"\n"))
    return b"".join(line.replace(b"\r", b" ") + b"\r\n" for line in lines if line)
