"""Relaxed canonicalisation (RFC 6376 3.4.2 and 3.4.4) of normalised messages: CRLF line ends only.

``bytes.replace`` gives back its very object when it finds nothing, so what is canonical already is only
searched, at the speed of memchr, and never copied.
"""

CRLF = b"\r\n"


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """One field with its CRLF; ``value`` is all between the colon and the last line's CRLF."""
    # RFC 6376 3.4.2: lower case, unfolded, runs of WSP as one space, none at the ends or round the colon
    return name.rstrip(b" \t").lower() + b":" + _squeeze(value.replace(CRLF, b"")).strip(b" ") + CRLF


def relaxed_body(body: bytes) -> bytes:
    """The body as it is hashed; the very same object when nothing is to do."""
    # RFC 6376 3.4.4 a: runs of WSP as one space, none at line ends
    body = _squeeze(body).replace(b" \r\n", CRLF)
    if body.endswith(CRLF) and not body.endswith(b"\r\n\r\n") and body != CRLF:
        return body
    # RFC 6376 3.4.4 b: no empty lines at the end; a body that is not empty ends with CRLF
    body = body.rstrip(b" \r\n")
    return body + CRLF if body else b""


def _squeeze(text: bytes) -> bytes:
    text = text.replace(b"\t", b" ")
    while b"  " in text:  # halves every run: few rounds even for long ones
        text = text.replace(b"  ", b" ")
    return text
