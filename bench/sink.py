"""MX hosts that cost little and take everything: ``python -m bench.sink PORT FOLDER ADDRESS …``.

``FOLDER/counts`` tells at any time what came, see ``read_counts``; ``FOLDER/sample`` is a mail as it came.
"""

import asyncio
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

import uvloop

_REPLIES = {
    b"EHLO": b"250-mx.bench.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 104857600\r\n250-SMTPUTF8\r\n"
    b"250 ENHANCEDSTATUSCODES\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End with <CRLF>.<CRLF>\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
_TAKEN = b"250 2.0.0 Ok: taken\r\n"
_END = b"\r\n.\r\n"
#: Bytes of a mail in which a signature is looked for.
_LOOK = 2000
_FORM = struct.Struct("qqqd")


class Counts(NamedTuple):
    """What the sinks took so far."""

    mails: int = 0
    signed: int = 0
    """Of these with a DKIM-Signature."""
    connections: int = 0
    last: float = 0.0
    """When the last mail came, on the monotonic clock."""


def read_counts(folder: Path) -> Counts:
    """What the process in this folder says now. Raises FileNotFoundError when it has not started."""
    return Counts(*_FORM.unpack((folder / "counts").read_bytes()))


class Sinks:
    """What all connections share."""

    def __init__(self, folder: Path) -> None:
        self.mails = self.signed = self.connections = 0
        self.sample = folder / "sample"
        path = folder / "counts"
        path.write_bytes(bytes(_FORM.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _FORM.size)

    def tell(self) -> None:
        """Let other processes know."""
        _FORM.pack_into(self._memory, 0, self.mails, self.signed, self.connections, time.monotonic())


class Session(asyncio.Protocol):
    """One connection. Content is counted, looked at and dropped, but for the first mail that is complete."""

    def __init__(self, sinks: Sinks) -> None:
        self._sinks = sinks
        self._rest = b""
        """Of commands: the line that is not complete; of a mail: the end of what came."""
        self._content: bytes | None = None
        """What came of a mail so far, its beginning only unless it is the sample."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._sinks.connections += 1
        transport.write(b"220 mx.bench.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        replies = list[bytes]()
        while data:
            data = self._commands(data, replies) if self._content is None else self._mail(data, replies)
        if replies:
            self._transport.write(b"".join(replies))

    def _commands(self, data: bytes, replies: list[bytes]) -> bytes:
        """Answer what is complete; what follows DATA is left."""
        data, self._rest = self._rest + data, b""
        start = 0
        while (end := data.find(b"\r\n", start)) >= 0:
            verb = data[start : start + 4].upper()
            replies.append(_REPLIES.get(verb, b"500 5.5.2 Command not known\r\n"))
            start = end + 2
            if verb == b"DATA":
                self._content, self._rest = b"", b"\r\n"  # so that the end of an empty mail is found as any other
                return data[start:]
        self._rest = data[start:]
        return b""

    def _mail(self, data: bytes, replies: list[bytes]) -> bytes:
        """Take what belongs to the mail; what follows it is left."""
        assert self._content is not None
        if len(self._content) < _LOOK or not self._sinks.mails:
            self._content += data
        tail = self._rest + data
        end = tail.find(_END)
        if end < 0:
            self._rest = tail[-4:]
            return b""
        self._take(self._content)
        replies.append(_TAKEN)
        self._content, self._rest = None, b""
        return tail[end + len(_END) :]

    def _take(self, content: bytes) -> None:
        sinks = self._sinks
        if not sinks.mails:  # none of its lines begins with a period: the generator sends no such mail
            sinks.sample.write_bytes(content.partition(_END)[0] + b"\r\n")
        sinks.mails += 1
        sinks.signed += content.find(b"DKIM-Signature:", 0, _LOOK) >= 0
        sinks.tell()


async def run(port: int, folder: Path, addresses: list[str]) -> None:
    """Take mail until the process is ended."""
    sinks = Sinks(folder)
    loop = asyncio.get_running_loop()
    for address in addresses:
        await loop.create_server(lambda: Session(sinks), address, port, backlog=1024)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
