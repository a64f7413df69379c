"""The one file that knows aiosmtpd: its connection and timer, our dialogue.

``aiosmtpd.smtp.SMTP`` makes a task of ``_handle_client`` for each connection; ours replaces it, so that no
reply comes from aiosmtpd. What is used of it is named in the contract test.
"""

import asyncio
import ssl
from typing import cast

import structlog
from aiosmtpd.smtp import SMTP

from common import metrics
from common.codes import LOCAL_ERROR, NOTHING_BEFORE_TLS, READY_FOR_TLS, SHUTTING_DOWN, Reply
from common.counting import count, level
from common.users.user import User
from smtpd_ingress.accept import accept
from smtpd_ingress.actions import Later, Login, NewClient, Queue, StartTLS
from smtpd_ingress.clients import Clients
from smtpd_ingress.dialogue import Action, Dialogue
from smtpd_ingress.sasl import Check, Done, Failed
from smtpd_ingress.tls import HANDSHAKE_TIMEOUT

log = structlog.get_logger()

#: Bytes read at a time.
CHUNK = 64 * 1024
# RFC 5321 4.5.3.2.7: at least 5 minutes …
IDLE_TIMEOUT = 300.0
# … but for a stranger who has no mail under way
STRANGER_TIMEOUT = 60.0


class Connection(SMTP):
    """One client's connection. It is among ``clients`` until its task has ended or it was turned out.

    Once ``stopping`` is set it takes no more commands.
    """

    line_length_limit = CHUNK  # of the stream reader: it stops reading at twice this

    def __init__(self, dialogue: Dialogue, clients: "Clients[Connection]", stopping: asyncio.Event) -> None:
        context, loop = dialogue.session.context, asyncio.get_running_loop()
        super().__init__(None, hostname=context.hostname, timeout=IDLE_TIMEOUT, loop=loop)
        self._context, self._dialogue, self._clients, self._stopping = context, dialogue, clients, stopping
        self._replies = bytearray()
        self._queueing = self._ended = False
        self._handshaking = context.listener.tls == "implicit"

    def task(self) -> asyncio.Task[None]:
        """What serves the connection. (No property: aiosmtpd's constructor reads them all.)"""
        assert self._handler_coroutine
        return self._handler_coroutine

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._count_sessions()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._ended:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        # Not aiosmtpd's: it cancels the task, and what a client sent before it closed its side is valid.
        return asyncio.StreamReaderProtocol.eof_received(self)

    def connection_lost(self, error: Exception | None) -> None:
        # Not aiosmtpd's, for the same reason: a message on its way into the queue gets there.
        if self._timeout_handle:
            self._timeout_handle.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None

    def _timeout_cb(self) -> None:
        log.info(f"timeout from [{self._dialogue.session.client}]")
        self._end(self._dialogue.timed_out())

    def shut_down(self) -> None:
        """End the session; a message that is coming in or being queued is finished first."""
        if not (self._queueing or self._dialogue.taking_content):
            self.cut_off()

    def cut_off(self) -> None:
        """End the session now."""
        self._end(SHUTTING_DOWN)

    def turn_out(self, reply: Reply) -> None:
        """End the session for want of room."""
        self._end(self._dialogue.session.refuse("command", reply))

    def _end(self, reply: Reply) -> None:
        """End the session from outside its task."""
        self._ended = True
        self._reader.feed_eof()  # under TLS the connection is lost only when the client closes it too
        if self.transport is None:
            return
        if self._handshaking or self._writer.transport.get_write_buffer_size():  # it understands or reads nothing
            self._writer.transport.abort()
        else:
            self._writer.write(reply.encode())
            self._writer.close()

    def _count_sessions(self) -> None:
        level(metrics.SMTPD_SESSIONS, len(self._clients), self._context.listener.name)

    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except (OSError, EOFError):
            if not self._ended:
                log.info(f"lost connection from [{self._dialogue.session.client}]")
        except Exception:
            log.exception(f"session of [{self._dialogue.session.client}]")
            self._end(LOCAL_ERROR._replace(code=421))
        finally:
            self._dialogue.close()
            self._clients.leave(self)
            self._count_sessions()
            if self.transport is None and self._timeout_handle:
                self._timeout_handle.cancel()
            self._writer.close()  # the timer goes on: a client that does not read is cut off by it

    async def _converse(self) -> None:
        if self._handshaking:
            await self._shake_hands()
        action: Action = SHUTTING_DOWN if self._stopping.is_set() else self._dialogue.greeting()
        count(metrics.SMTPD_CONNECTIONS, self._context.listener.name, "accepted")
        while True:
            match action:
                case Queue():  # its message is not kept in a variable until the next one
                    self._queueing = True
                    self._clients.works(self)
                    self._reset_timeout(IDLE_TIMEOUT)  # the time that was left for the message says nothing now
                    action = self._dialogue.queued(await accept(self._dialogue.session, action.message))
                    self._queueing = False
                    continue
                case Login(mechanism, step):
                    action = self._dialogue.logged_in(await self._log_in(mechanism, step))
                    continue
                case Later(reply, seconds):
                    await self._flush()
                    await asyncio.sleep(seconds)
                    action = reply
                    continue
                case NewClient(client):
                    exempt = self._context.may_relay(client)
                    action = self._dialogue.let_in(self._clients.speaks_for(self, client, exempt))
                    continue
                case StartTLS():
                    await self._flush()
                    if self._reader._buffer:  # type: ignore[attr-defined]
                        # RFC 3207 section 5: what came in clear after the command may be another's.
                        action = self._dialogue.session.refuse("starttls", NOTHING_BEFORE_TLS)
                        continue
                    self._writer.write(READY_FOR_TLS.encode())
                    await self._shake_hands()
                case Reply():
                    self._replies += action.encode()
                    if action.close:
                        await self._flush()
                        return
            action = await self._next()

    async def _next(self) -> Action:
        """What the dialogue wants next, with as many bytes as it needs."""
        if self._ended:
            raise EOFError
        self._wait_for_client()
        if self._stopping.is_set() and not self._dialogue.taking_content:
            return SHUTTING_DOWN
        while (action := self._dialogue.next()) is None:
            if self._dialogue.taking_content:  # of which the first bytes may have come with the command
                self._wait_for_client()
            self._dialogue.feed(await self._read())
        return action

    def _wait_for_client(self) -> None:
        session = self._dialogue.session
        idle = IDLE_TIMEOUT if session.trusted or session.transaction else STRANGER_TIMEOUT
        self._reset_timeout(self._dialogue.patience(idle) or 0.001)  # 0 would be aiosmtpd's own

    async def _log_in(self, mechanism: str, step: Check | Done | Failed) -> User | Reply:
        assert self._context.logins
        await self._flush()
        return await self._context.logins.finish(self._dialogue.session.client, mechanism, step)

    async def _shake_hands(self) -> None:
        """Begin TLS. Raises OSError."""
        assert self._context.tls
        self._handshaking = True
        raw = self._writer.transport
        early = bytes(self._reader._buffer)  # type: ignore[attr-defined]
        self._reader._buffer.clear()  # type: ignore[attr-defined]
        if early:  # implicit TLS: it came with the PROXY header, or before this task ran
            self.loop.call_soon(_give, raw, early)
        try:
            transport = await self.loop.start_tls(
                raw,
                self,
                self._context.tls(),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            )
            tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object") if transport else None
            if not tls:  # lost meanwhile: asyncio gives no transport then, uvloop one without TLS
                raise ConnectionResetError("lost connection")
        except OSError as error:
            self._no_tls(error)
            raise
        self._handshaking = False
        self.transport = self._reader._transport = self._writer._transport = transport  # type: ignore[attr-defined]
        self._replace_writer(self._writer)  # type: ignore[attr-defined]
        self._dialogue.secured(tls.version() or "", (tls.cipher() or ("",))[0])
        count(metrics.SMTPD_TLS, self._context.listener.name, self._dialogue.session.tls)

    def _no_tls(self, error: OSError) -> None:
        if not self._ended:
            why = getattr(error, "reason", None) or str(error) or "lost connection"
            log.info(f"SSL_accept error from [{self._dialogue.session.client}]: {why}")
        count(metrics.SMTPD_TLS, self._context.listener.name, "failed")
        self._writer.transport.abort()
        self.transport = None  # after a timeout nobody calls connection_lost

    async def _read(self) -> bytes:
        """More bytes, after the replies of all that was read before have gone out together (RFC 2920 3.2)."""
        await self._flush()
        self._clients.waits(self, self._dialogue.session.trusted)
        if message := self._dialogue.message:
            await message.room()
        data = await self._reader.read(CHUNK)
        if not data or self._ended:
            raise EOFError
        return data

    async def _flush(self) -> None:
        if self._replies:
            self._writer.write(bytes(self._replies))
            self._replies.clear()
            await self._writer.drain()


def _give(transport: asyncio.WriteTransport, data: bytes) -> None:
    """Have a transport's protocol, which is TLS by now, take bytes that were read for it."""
    protocol = cast(asyncio.BufferedProtocol, transport.get_protocol())
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
