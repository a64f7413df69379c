"""A TCP or TLS connection that is written bytes to and gives SMTP replies."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

from outbound.reply import Reply, ReplyError, ReplyParser

#: Bytes handed to the transport at once; one timeout counts for each such piece.
PIECE = 256 * 1024


class Wire(asyncio.Protocol):
    """One waiter at a time: replies are asked for in turn, after what they answer was written."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = ReplyParser()
        self._full = False
        self._waiter: asyncio.Future[None] | None = None
        self.local_address = ""

    @property
    def idle(self) -> bool:
        """Open, and nothing was received that nobody asked for."""
        return self._transport is not None and not self._parser.pending

    def write(self, data: bytes) -> None:
        """Send a few bytes. What is written to a lost connection is dropped: asking for the reply tells."""
        if self._transport:
            self._transport.write(data)

    async def write_all(self, data: bytes, timeout: float) -> None:
        """Send as fast as the peer takes it. Raises TimeoutError when a piece takes longer than ``timeout`` s."""
        view = memoryview(data)
        for start in range(0, len(data), PIECE):
            if self._transport:
                self._transport.write(view[start : start + PIECE])
            if self._full:
                with self._patience(timeout):
                    while self._full:
                        await self._change()

    async def reply(self, timeout: float) -> Reply:
        """The next reply. Raises TimeoutError, ReplyError, and ConnectionError when the peer has gone."""
        if reply := self._parser.next():
            return reply
        with self._patience(timeout):
            while not (reply := self._parser.next()):
                if not self._transport:
                    raise ConnectionError("connection lost")
                await self._change()
        return reply

    async def start_tls(self, context: ssl.SSLContext, host: str, timeout: float) -> ssl.SSLObject:
        """Continue in TLS. Raises OSError, which TimeoutError and ssl.SSLError are too."""
        if not self._transport:
            raise ConnectionError("connection lost")
        self._parser = ReplyParser()  # RFC 3207 4.2: what came in clear is forgotten
        self._transport = await asyncio.get_running_loop().start_tls(
            self._transport, self, context, server_hostname=host, ssl_handshake_timeout=timeout
        )
        if not self._transport:
            raise ConnectionError("connection lost")
        tls: ssl.SSLObject = self._transport.get_extra_info("ssl_object")
        return tls

    def abort(self) -> None:
        """Close at once."""
        if self._transport:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: Any) -> None:
        """Called by asyncio."""
        self._transport = transport
        self.local_address = (transport.get_extra_info("sockname") or ("",))[0]

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        try:
            self._parser.feed(data)
        except ReplyError:
            self.abort()
        self._wake()

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._full = True

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._full = False
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self._full = False
        self._wake()

    async def _change(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    @contextlib.contextmanager
    def _patience(self, timeout: float) -> Iterator[None]:
        """Who waits inside gets TimeoutError after so many seconds; for a third of what asyncio.timeout costs."""
        timer = asyncio.get_running_loop().call_later(timeout, self._time_out)
        try:
            yield
        finally:
            timer.cancel()

    def _time_out(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
