"""Stored content: a message compressed with zstandard behind one byte of schema version."""

import hashlib
from dataclasses import dataclass

import zstandard

VERSION = 1
LEVEL = 3
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


class CorruptError(ValueError):
    """Stored content that cannot be read back."""


def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)


def digest(stored: bytes) -> bytes:
    """The hash that a BodyRef carries."""
    return hashlib.blake2b(stored, digest_size=16).digest()


class Compressor:
    """Takes a message piece by piece, gives its stored form at the end; the message is never whole in memory."""

    def __init__(self) -> None:
        self._compress = _compressor().compressobj()
        self._parts = [bytes([VERSION])]
        self.size = 0

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the message."""
        self.size += len(data)
        if part := self._compress.compress(data):
            self._parts.append(part)

    def finish(self) -> bytes:
        """The stored form of everything fed."""
        self._parts.append(self._compress.flush())
        return b"".join(self._parts)


def store(message: bytes) -> bytes:
    """The stored form of a whole message."""
    return bytes([VERSION]) + _compressor().compress(message)


def load(stored: bytes) -> bytes:
    """The message behind its stored form. Raises CorruptError."""
    if not stored or stored[0] != VERSION:
        raise CorruptError(f"content of schema version {stored[0] if stored else 'none'}; this is version {VERSION}")
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        message = frame.decompress(stored[1:])
    except zstandard.ZstdError as error:
        raise CorruptError(f"content does not decompress: {error}") from error
    if not frame.eof or frame.unused_data:
        raise CorruptError("content is not one whole frame")
    return message
