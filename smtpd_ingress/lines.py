"""Command lines from the bytes of a connection, without I/O."""

#: RFC 5321 4.5.3.1.4: a command line has at most 512 octets with its CRLF; extensions add to that, RFC 3461 section 4
#: and RFC 4954 section 5 about 500 each.
MAX_LINE = 2048


class TooLongError(ValueError):
    """A line over the limit; it is dropped whole, what follows it is a command again."""


class Lines:
    """What came in and is not used yet: commands are taken line by line, message data as it is."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._buffer += data

    def next(self, limit: int = MAX_LINE) -> bytes | None:
        """The next line with its LF, at most ``limit`` bytes; None: feed more.

        Raises TooLongError once a longer one has ended.
        """
        end = self._buffer.find(b"\n") + 1
        if not end:
            if len(self._buffer) > limit:
                self._dropping = True
                self._buffer.clear()
            return None
        too_long = self._dropping or end > limit
        self._dropping = False
        line = b"" if too_long else bytes(self._buffer[:end])
        del self._buffer[:end]
        if too_long:
            raise TooLongError
        return line

    def take(self, size: int | None = None) -> bytes:
        """What is here, at most ``size`` bytes of it, as message data."""
        data = bytes(self._buffer if size is None else self._buffer[:size])
        del self._buffer[: len(data)]
        return data
