"""Command lines from the bytes of a connection, without I/O."""

#: RFC 5321 4.5.3.1.4 has 512 octets with CRLF for a command line, and extensions add to it (RFC 1870, 3461, 4865 …):
#: all that are known together stay below this.
MAX_LINE = 2048
#: RFC 4954 section 4: octets with CRLF of a line of AUTH, or of a response in its exchange, that are sufficient.
MAX_AUTH_LINE = 12_288 + 2


class TooLongError(ValueError):
    """A line over ``limit``; it is dropped whole, what follows it is a command again."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class Lines:
    """What came in and is not used yet: commands are taken line by line, message data as it is."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._dropping = 0
        """The limit that the line is over of which the rest is dropped."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self._at < len(self._data)

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._data = self._data[self._at :] + data if self else data
        self._at = 0

    def startswith(self, word: bytes) -> bool:
        """Whether the next bytes are these, in any case."""
        return self._data[self._at : self._at + len(word)].upper() == word

    def next(self, limit: int = MAX_LINE) -> bytes | None:
        """The next line, of ``limit`` bytes at most, with its LF; None: feed more.

        Raises TooLongError once a longer one has ended.
        """
        start, end = self._at, self._data.find(b"\n", self._at) + 1
        if not end:
            if len(self._data) - start > limit:
                self._dropping = self._dropping or limit
                self.take()
            return None
        exceeded, self._dropping = self._dropping or (limit if end - start > limit else 0), 0
        self._at = end
        if exceeded:
            raise TooLongError(exceeded)
        return self._data[start:end]

    def take(self, size: int | None = None) -> bytes:
        """What is here, at most ``size`` bytes of it, as message data."""
        end = len(self._data) if size is None else min(self._at + size, len(self._data))
        taken = self._data[self._at : end]
        self._at = end
        if not self:
            self._data, self._at = b"", 0
        return taken
