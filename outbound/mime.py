"""The structure of a message as bytes (RFC 2045, RFC 2046): entities, and the parts of those that have some.

Nothing is decoded and nothing is lost: what is taken apart here gives the same bytes when it is put together.
Lines end in CRLF.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

#: Entities in entities that are looked at; what lies deeper is text.
MAX_DEPTH = 20
#: RFC 2046 5.1.1 allows 70 characters.
MAX_BOUNDARY = 200
#: Parameters of a Content-Type that is looked into: Python's parser takes quadratic time over hostile ones.
MAX_PARAMETERS = 100
#: Parts of a multipart that are looked at; what comes behind them stands around.
MAX_PARTS = 10_000
#: Lines of a multipart that begin as a boundary does, and may or may not be one: no more of them are looked at.
MAX_LINES = 2 * MAX_PARTS
_PARSER = BytesHeaderParser()
_ENCODING = re.compile(r"\s*([^\s;]*)")
#: Of a boundary line (RFC 2046 5.1.1): whether it is the last one, padding.
_TAIL = re.compile(rb"(--)?[ \t]*(?=\r\n|\Z)")


@dataclass(frozen=True, slots=True)
class Entity:
    """A message, or a part of one: its header's lines and its body."""

    header: bytes
    separator: bytes
    """The empty line; ``b""`` where there is none, and so no body."""
    body: bytes
    type: str
    """Media type in lower case; ``""`` where it says none that can be understood."""
    encoding: str
    """Content-Transfer-Encoding in lower case; ``""`` where several fields contradict one another."""
    boundary: bytes
    """Of a multipart that has one."""
    typed: bool
    """Whether there is a Content-Type."""

    @property
    def is_identity(self) -> bool:
        """Whether the body is what it stands for."""
        return self.encoding in ("7bit", "8bit", "binary")

    @property
    def default_of_parts(self) -> str:
        """The type of parts that name none (RFC 2046 5.1.5)."""
        return "message/rfc822" if self.type == "multipart/digest" else "text/plain"


def parse(message: bytes, default: str = "text/plain") -> Entity:
    """The entity that some bytes are; of type ``default`` where there is no Content-Type."""
    if message.startswith(b"\r\n"):
        header, separator, body = b"", b"\r\n", message[2:]
    else:
        header, separator, body = message.partition(b"\r\n\r\n")
        if separator:
            header, separator = header + b"\r\n", b"\r\n"
    fields = _PARSER.parsebytes(header)
    fields.set_default_type(default)
    types, encodings = fields.get_all("Content-Type", []), fields.get_all("Content-Transfer-Encoding", [])
    match = _ENCODING.match(str(encodings[0]) if encodings else "7bit")
    return Entity(
        header,
        separator,
        body,
        type=fields.get_content_type() if len(types) <= 1 else "",
        encoding=match[1].lower() if match and len(encodings) <= 1 else "",
        boundary=_boundary(fields) if len(types) == 1 else b"",
        typed=bool(types),
    )


def _boundary(fields: Message) -> bytes:
    """That of the only Content-Type; ``b""`` where it has none that can be understood."""
    if str(fields["Content-Type"]).count(";") > MAX_PARAMETERS:
        return b""
    try:
        boundary = (fields.get_boundary() or "").encode("utf-8", "surrogateescape")
    except ValueError:  # RFC 2231 lets it name any charset of Python's, and numbers of any length
        return b""
    return boundary if len(boundary) <= MAX_BOUNDARY else b""


def split(entity: Entity) -> list[bytes] | None:
    """A multipart's body as what stands around its parts and the parts, by turns; None where it has no parts.

    The first and the last are around; joined they are the body.
    """
    pieces: list[bytes] = []
    body, around, part = entity.body, 0, -1
    for start, end, closes in _boundary_lines(entity):
        if 0 <= part < start:
            pieces += [body[around:part], body[part:start]]
            around = start
        part = end + 2
        if closes or len(pieces) >= 2 * MAX_PARTS:
            break
    else:
        if 0 <= part < len(body):  # it is not closed
            pieces += [body[around:part], body[part:]]
            around = len(body)
    return [*pieces, body[around:]] if pieces else None


def _boundary_lines(entity: Entity) -> Iterator[tuple[int, int, bool]]:
    """Where they begin, with the CRLF before them, which is theirs (RFC 2046 5.1.1), and end; and which is the last."""
    if not entity.boundary:
        return
    body, mark = entity.body, b"\r\n--" + entity.boundary
    at = -2 if body.startswith(mark[2:]) else body.find(mark)  # -2: as if a CRLF stood before the body
    for _ in range(MAX_LINES):
        if at == -1:
            break
        if tail := _TAIL.match(body, at + len(mark)):
            yield max(0, at), tail.end(), bool(tail[1])
        at = body.find(mark, at + len(mark))


def headers(message: bytes, default: str = "text/plain", depth: int = 0) -> Iterator[bytes]:
    """The header of a message and those of all its parts."""
    entity = parse(message, default)
    yield entity.header
    if depth == MAX_DEPTH or not entity.is_identity:
        return
    if entity.type.startswith("multipart/"):
        for part in (split(entity) or ())[1::2]:
            yield from headers(part, entity.default_of_parts, depth + 1)
    elif entity.type == "message/rfc822":
        yield from headers(entity.body, depth=depth + 1)
