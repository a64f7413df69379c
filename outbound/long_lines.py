"""Lines of more than 998 bytes (RFC 5321 4.5.3.1.6) made shorter, so that no later hop breaks what we signed.

Header lines are folded at white space. What is text is encoded so that it reads the same: quoted-printable, or
base64 where that is smaller or it is no text. What is encoded already is broken where its encoding allows that. A
signed part stays as it is (RFC 1847 2.1). What cannot be understood is broken as Postfix does, by CRLF and a space.
"""

import binascii
import re
from collections.abc import Callable, Iterator

from outbound import mime
from outbound.mime import Entity

#: Bytes of a line without its CRLF.
LONGEST = 998
_BASE64_LINE, _BASE64_BYTES, _BASE64_CHUNK = 76, 57, 57 * 1024
#: Bytes of a line that is cut in two in quoted-printable: room for what is put before and behind them.
_SOFT_LINE = 72
_BLANKS = re.compile(rb"[ \t]{100,}")
_NOT_ASCII = bytes(range(128, 256))
_ENCODING = re.compile(
    rb"^content-transfer-encoding[ \t]*:[^\r]*(?:\r\n[ \t][^\r]*)*\r\n", re.IGNORECASE | re.MULTILINE
)
_VERSION = re.compile(rb"^mime-version[ \t]*:", re.IGNORECASE | re.MULTILINE)


def shortened(message: bytes) -> bytes:
    """A message with CRLF line ends, its lines at most LONGEST bytes; the very same object when nothing is to do."""
    return _entity(mime.parse(message), (), is_message=True) if has_long(message) else message


def has_long(text: bytes) -> bool:
    """Whether a line is too long."""
    return next(_long_lines(text), None) is not None


def _long_lines(text: bytes) -> Iterator[tuple[int, int]]:
    """Where the lines that are too long begin and end.

    From as far as a line may go a line end is looked for backwards: so hardly a byte in twenty is read.
    """
    start, last = 0, len(text) - LONGEST
    while start < last:
        end = text.rfind(b"\n", start, start + LONGEST + 2)
        if end >= 0:
            start = end + 1
            continue
        end = text.find(b"\r\n", start)
        end = len(text) if end < 0 else end
        if end - start > LONGEST:
            yield start, end
        start = end + 2


def _entity(entity: Entity, boundaries: tuple[bytes, ...], *, is_message: bool = False) -> bytes:
    """A message or a part; ``boundaries`` of what it is in may not begin a line of it."""
    header, body = entity.header, entity.body
    if has_long(body) and entity.type != "multipart/signed":
        header, body = _shorter(entity, boundaries, is_message)
    return (_by_line(header, _fold) if has_long(header) else header) + entity.separator + body


def _shorter(entity: Entity, boundaries: tuple[bytes, ...], is_message: bool) -> tuple[bytes, bytes]:
    """Header and body of an entity whose body has long lines."""
    header, body, type_ = entity.header, entity.body, entity.type
    if entity.is_identity and len(boundaries) < mime.MAX_DEPTH:
        if type_.startswith("multipart/"):
            if pieces := mime.split(entity):
                return header, b"".join(_parts(entity, pieces, boundaries))
        elif type_ == "message/rfc822":
            return header, _entity(mime.parse(body), (*boundaries, b""), is_message=True)
        elif type_ and not type_.startswith("message/"):
            return _encoded(entity, boundaries, is_message)
    if entity.encoding == "quoted-printable":
        return header, _by_line(body, _softly_broken)
    if entity.encoding == "base64":
        return header, _by_line(body, _cut)
    return header, _by_line(body, _broken)


def _parts(entity: Entity, pieces: list[bytes], boundaries: tuple[bytes, ...]) -> Iterator[bytes]:
    """What stands around the parts of a multipart and the parts, by turns."""
    for number, piece in enumerate(pieces):
        if not has_long(piece):
            yield piece
        elif number % 2:
            yield _entity(mime.parse(piece, entity.default_of_parts), (*boundaries, entity.boundary))
        else:
            yield _by_line(piece, _broken)


def _encoded(entity: Entity, boundaries: tuple[bytes, ...], is_message: bool) -> tuple[bytes, bytes]:
    """What is not encoded yet: the same bytes encoded, and the header that says so."""
    body = entity.body
    encoding, text = b"base64", b""
    eightbit = len(body) - len(body.translate(None, _NOT_ASCII))
    if entity.type.startswith("text/") and eightbit * 6 <= len(body):
        encoding, text = b"quoted-printable", _quoted_printable(body)
        if any(boundary and b"\r\n--" + boundary in b"\r\n" + text for boundary in boundaries):
            encoding = b"base64"
    if encoding == b"base64":
        text = _base64(body)
    fields = [b"Content-Transfer-Encoding: " + encoding + b"\r\n"]
    if is_message and not _VERSION.search(entity.header):
        fields.insert(0, b"MIME-Version: 1.0\r\n")
    if eightbit and not entity.typed:
        fields.append(b"Content-Type: text/plain; charset=" + _charset(body) + b"\r\n")
    return _ENCODING.sub(b"", entity.header) + b"".join(fields), text


def _charset(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:
        return b"unknown-8bit"  # RFC 1428
    return b"utf-8"


def _quoted_printable(text: bytes) -> bytes:
    encoded = binascii.b2a_qp(text, istext=True)
    return encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _base64(body: bytes) -> bytes:
    view = memoryview(body)
    pieces = (
        binascii.b2a_base64(view[i : i + _BASE64_CHUNK], newline=False) for i in range(0, len(body), _BASE64_CHUNK)
    )
    return b"".join(_cut(piece) + b"\r\n" for piece in pieces)


# --- single lines, without their CRLF ---


def _by_line(text: bytes, shorter: Callable[[bytes], bytes]) -> bytes:
    """Each long line made shorter; what lies between them is copied."""
    pieces, copied = [], 0
    for start, end in _long_lines(text):
        pieces += [text[copied:start], shorter(text[start:end])]
        copied = end
    return b"".join([*pieces, text[copied:]])


def _fold(line: bytes) -> bytes:
    """A header line folded (RFC 5322 2.2.3): at white space, else behind a comma or semicolon, else anywhere.

    So much white space that it fills a line becomes one space.
    """
    line = _BLANKS.sub(b" ", line).rstrip(b" \t")
    lines, start, space = [], 0, b""
    while len(space) + len(line) - start > LONGEST:
        most = start + LONGEST - len(space)
        end = max(line.rfind(blank, start, most + 1) for blank in (b" ", b"\t"))
        end = start + len(line[start : max(end, start)].rstrip(b" \t"))
        found = bool(line[start:end].strip(b" \t"))
        if not found:
            end = max(line.rfind(mark, start, most) for mark in (b",", b";")) + 1
            end = end if end > start else _character(line, most)
        lines.append(space + line[start:end])
        start, space = end, b"" if found else b" "
    return b"\r\n".join([*lines, space + line[start:]])


def _broken(line: bytes) -> bytes:
    """A line broken anywhere; what follows begins with a space."""
    line = line.rstrip(b" \t")  # else nothing but blanks could follow a boundary
    lines, start, space = [], 0, b""
    while len(space) + len(line) - start > LONGEST:
        end = _character(line, start + LONGEST - len(space))
        lines.append(space + line[start:end])
        start, space = end, b" "
    return b"\r\n".join([*lines, space + line[start:]])


def _softly_broken(line: bytes) -> bytes:
    """A line of quoted-printable with soft line breaks (RFC 2045 6.7); no line that is new may be a boundary."""
    lines, start = [], 0
    while len(line) - start > _SOFT_LINE:
        end = start + _SOFT_LINE
        end -= next((back for back in (1, 2) if line[end - back] == ord("=")), 0)  # not inside =3D
        lines.append(_no_dash(line[start:end], start) + b"=")
        start = end
    return b"\r\n".join([*lines, _no_dash(line[start:], start)])


def _no_dash(piece: bytes, start: int) -> bytes:
    return b"=2D" + piece[1:] if start and piece.startswith(b"-") else piece


def _cut(line: bytes) -> bytes:
    """A line of base64 as several; where one might be a boundary it begins with a space, which means nothing there."""
    lines = (line[i : i + _BASE64_LINE] for i in range(0, len(line), _BASE64_LINE))
    return b"\r\n".join([b" " + piece if piece.startswith(b"-") else piece for piece in lines])


def _character(line: bytes, end: int) -> int:
    """The last place up to ``end`` that is not inside a UTF-8 character."""
    return next((place for place in range(end, end - 4, -1) if line[place] & 0xC0 != 0x80), end)
