"""Stored content: a message compressed with zstandard behind one byte of schema version."""

import hashlib
from dataclasses import dataclass
from io import BytesIO

import zstandard

VERSION = 1
LEVEL = 3
#: Messages up to this many bytes are compressed in one go.
WHOLE = 256 * 1024
#: Content up to this many compressed bytes rides in a single recipient's entry.
INLINE_LIMIT = 128 * 1024
#: Content in an entry moves to BODY before the entry is scheduled if it is larger:
#: schedules that fire together are held in memory.
SCHEDULED_INLINE_LIMIT = 4 * 1024


@dataclass(frozen=True, slots=True)
class BodyRef:
    """Where content lies in BODY: ``b.<pool>.<submission>``, with ``.<i>`` behind it when in chunks."""

    size: int
    """Bytes of the stored form."""
    chunks: int
    """0: one message without a chunk number."""
    digest: bytes
    """BLAKE2b of the stored form, 16 bytes."""

    def to_list(self) -> list[int | bytes]:
        """The form inside a packed entry."""
        return [self.size, self.chunks, self.digest]

    @classmethod
    def from_list(cls, values: list[int | bytes]) -> "BodyRef":
        """The opposite of ``to_list``."""
        size, chunks, digest = values
        return cls(int(size), int(chunks), bytes(digest))


def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)


_PREFIX = bytes([VERSION])
#: Used for one call at a time; not for streams, which would share its state.
_WHOLE_COMPRESSOR, _DECOMPRESSOR = _compressor(), zstandard.ZstdDecompressor()


class CorruptError(ValueError):
    """Stored content that cannot be read back."""


def digest(stored: bytes) -> bytes:
    """The hash that a BodyRef carries."""
    return hashlib.blake2b(stored, digest_size=16).digest()


class Compressor:
    """Takes a message piece by piece, gives its stored form at the end; a large one is never whole in memory.

    Up to WHOLE bytes are compressed in one go: a stream's context costs more than a small message
    (docs/performance.md).
    """

    def __init__(self) -> None:
        self._whole = bytearray()
        self._stream: zstandard.ZstdCompressionObj | None = None
        self._stored = BytesIO()
        self.size = 0

    @property
    def held(self) -> int:
        """Bytes of the stored form of a large message so far."""
        return self._stored.tell()

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the message."""
        self.size += len(data)
        if self._stream:
            self._stored.write(self._stream.compress(data))
            return
        self._whole += data
        if self.size > WHOLE:
            self._stream = _compressor().compressobj()
            self._stored.write(_PREFIX)
            self._stored.write(self._stream.compress(self._whole))
            self._whole = bytearray()

    def finish(self) -> bytes:
        """The stored form of everything fed, which is not kept here."""
        stored, whole, stream = self._stored, self._whole, self._stream
        self._stored, self._whole, self._stream = BytesIO(), bytearray(), None
        if not stream:
            return store(whole)
        stored.write(stream.flush())
        return stored.getvalue()  # no copy: nobody else has the buffer


def store(message: bytes | bytearray) -> bytes:
    """The stored form of a whole message."""
    return _PREFIX + _WHOLE_COMPRESSOR.compress(message)


def load(stored: bytes) -> bytes:
    """The message behind its stored form. Raises CorruptError."""
    frame = _frame(stored)
    try:
        if zstandard.frame_content_size(frame) >= 0:
            return _DECOMPRESSOR.decompress(frame, allow_extra_data=False)
        stream = zstandard.ZstdDecompressor().decompressobj()
        message = stream.decompress(frame)
    except zstandard.ZstdError as error:
        raise CorruptError(f"content does not decompress: {error}") from error
    if not stream.eof or stream.unused_data:
        raise CorruptError("content is not one whole frame")
    return message


def head(stored: bytes, size: int) -> bytes:
    """The first ``size`` bytes of the message, or all it has, from the first bytes of its stored form, which may be
    all of it. Raises CorruptError.
    """
    try:
        with zstandard.ZstdDecompressor().stream_reader(_frame(stored)) as reader:
            return reader.read(size)
    except zstandard.ZstdError as error:
        raise CorruptError(f"content does not decompress: {error}") from error


def _frame(stored: bytes) -> bytes:
    if not stored or stored[0] != VERSION:
        raise CorruptError(f"content of schema version {stored[0] if stored else 'none'}; this is version {VERSION}")
    return stored[1:]
