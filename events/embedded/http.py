"""HTTP requests and errors as ClickHouse understands them. No I/O but for reading a body."""

import base64
import email.parser
import email.policy
import gzip
import hmac
import io
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl, urlsplit

import lz4.frame
import zstandard

from events.embedded.engine import EngineError

#: Parameters of the interface; every other one but ``param_…`` is a setting.
INTERFACE = {
    "query", "database", "user", "password", "query_id", "default_format", "client_protocol_version",
    "quota_key", "role", "session_id", "session_timeout", "session_check", "wait_end_of_query", "buffer_size",
    "compress", "decompress", "stacktrace", "readonly", "enable_http_compression",
}  # fmt: skip
#: ClickHouse's own mapping of error codes; any other one is 500.
_STATUS = {
    400: {6, 26, 27, 33, 38, 41, 43, 53, 62, 69, 70, 72, 117, 131, 457},
    403: {192, 193, 516},
    404: {46, 47, 50, 56, 60, 63, 73, 81, 115, 336},
    408: {159},
    501: {1, 48},
    503: {202, 236},
}
_TYPES = {
    "JSON": "application/json", "CSV": "text/csv", "Tab": "text/tab-separated-values",
    "TSV": "text/tab-separated-values", "Pretty": "text/plain",
}  # fmt: skip


def status(code: int) -> int:
    """The HTTP status of a ClickHouse error."""
    return next((number for number, codes in _STATUS.items() if code in codes), 500)


def content_type(format: str) -> str:
    """Of a result in a format."""
    text = next((type for start, type in _TYPES.items() if format.startswith(start)), "")
    return f"{text}; charset=UTF-8" if text else "application/octet-stream"


def parameters(target: str) -> dict[str, str]:
    """Of a request target; the last of a name counts."""
    return dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))


def credentials(headers: Message, params: Mapping[str, str]) -> tuple[str, str]:
    """User and password from X-ClickHouse-User and -Key, basic authentication (RFC 7617) or parameters."""
    if "X-ClickHouse-User" in headers:
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        user, _, password = base64.b64decode(encoded + "==").decode(errors="replace").partition(":")
        return user, password
    return params.get("user", "default"), params.get("password", "")


@dataclass(frozen=True, slots=True)
class Logins:
    """User and password: who may do all, and who may only read; without a password there is no reader."""

    owner: tuple[str, str]
    reader: tuple[str, str] = ("reader", "")


def authenticate(given: tuple[str, str], logins: Logins) -> bool:
    """Whether this is the owner; False: the reader. Raises EngineError for anybody else."""
    if _same(given, logins.owner):
        return True
    if not logins.reader[1] or not _same(given, logins.reader):
        text = f"{given[0]}: Authentication failed: password is incorrect, or there is no user with such name"
        raise EngineError.make(516, "AUTHENTICATION_FAILED", text)
    return False


def _same(given: tuple[str, str], right: tuple[str, str]) -> bool:
    return hmac.compare_digest("\0".join(given).encode(), "\0".join(right).encode())


class Body(io.RawIOBase):
    """A request's body: as long as Content-Length says, or chunked (RFC 9112 7.1)."""

    def __init__(self, source: io.BufferedIOBase, headers: Message) -> None:
        self._source = source
        self._chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self._left = 0 if self._chunked else int(headers.get("Content-Length", 0))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if not self._left and self._chunked:
            self._next_chunk()
        data = self._source.read(min(len(buffer), self._left))
        if len(data) < min(len(buffer), self._left):
            raise ConnectionAbortedError("the client went away within its request")
        buffer[: len(data)] = data
        self._left -= len(data)
        if self._chunked and data and not self._left:
            self._source.readline()
        return len(data)

    def _next_chunk(self) -> None:
        if not (size := self._source.readline()).endswith(b"\n"):
            raise ConnectionAbortedError("the client went away within its request")
        self._left = int(size.split(b";")[0], 16)
        if not self._left:
            self._chunked = False
            while self._source.readline().strip():
                pass  # trailers


def decode(body: Body, encoding: str) -> "io.BufferedIOBase | zstandard.ZstdDecompressionReader":
    """The body without its Content-Encoding. Raises EngineError for one that is not known here."""
    raw = io.BufferedReader(body, 2**16)
    if encoding in ("", "identity"):
        return raw
    if encoding == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if encoding == "lz4":
        frames: io.BufferedIOBase = lz4.frame.LZ4FrameFile(raw)
        return frames
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    raise EngineError.make(48, "NOT_IMPLEMENTED", f"Content-Encoding {encoding}: only gzip, lz4 and zstd are known")


def encode(data: bytes, accepted: str) -> tuple[str, bytes]:
    """An answer in the best Content-Encoding of an Accept-Encoding, with its name."""
    names = {part.split(";")[0].strip() for part in accepted.split(",")}
    if "zstd" in names:
        return "zstd", zstandard.ZstdCompressor(level=1).compress(data)
    if "lz4" in names:
        return "lz4", lz4.frame.compress(data)
    if "gzip" in names:
        return "gzip", gzip.compress(data, 1)
    return "", data


def form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of multipart/form-data (RFC 7578), the way long parameters are sent."""
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields = {}
    for part in message.iter_parts():
        if part.get_filename():
            raise EngineError.make(48, "NOT_IMPLEMENTED", "External data is not supported here")
        name = part.get_param("name", header="Content-Disposition")
        payload = part.get_payload(decode=True)
        fields[str(name)] = payload.decode() if isinstance(payload, bytes) else ""
    return fields
