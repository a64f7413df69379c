"""The one file that knows aiosmtpd: its connection and timer, our dialogue.

``aiosmtpd.smtp.SMTP`` makes a task of ``_handle_client`` for each connection; ours replaces it, so that no
reply comes from aiosmtpd. What is used of it is named in the contract test.
"""

import asyncio

import structlog
from aiosmtpd.smtp import SMTP

from common import metrics
from common.codes import IDLE, LOCAL_ERROR, READY_FOR_TLS, SHUTTING_DOWN, TOO_MANY_CONNECTIONS, Reply
from common.counting import count, level
from common.users.user import User
from smtpd_ingress.accept import accept
from smtpd_ingress.actions import Login, Queue, StartTLS
from smtpd_ingress.context import Context, client_address
from smtpd_ingress.dialogue import Action, Dialogue
from smtpd_ingress.sasl import Check, Done, Failed

log = structlog.get_logger()

#: Bytes read at a time.
CHUNK = 64 * 1024
# RFC 5321 4.5.3.2.7: at least 5 minutes.
IDLE_TIMEOUT = 300.0


class Connection(SMTP):
    """One client's connection. It is in ``connections`` from connect until its last task has ended.

    Once ``stopping`` is set it takes no more commands.
    """

    line_length_limit = CHUNK  # of the stream reader: it stops reading at twice this

    def __init__(self, context: Context, connections: "set[Connection]", stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(None, hostname=context.hostname, timeout=IDLE_TIMEOUT, loop=loop)
        self._context, self._connections, self._stopping = context, connections, stopping
        self._replies = bytearray()
        self._queueing = self._ended = False

    def task(self) -> asyncio.Task[None]:
        """What serves the connection. (No property: aiosmtpd's constructor reads them all.)"""
        assert self._handler_coroutine
        return self._handler_coroutine

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername")
        if peername is None:  # gone already
            transport.close()
            return
        self._dialogue = Dialogue(self._context, client_address(peername))
        self._connections.add(self)
        self._count_sessions()
        super().connection_made(transport)

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
        self._end(IDLE)

    def shut_down(self) -> None:
        """End the session; a message that is coming in or being queued is finished first."""
        if not (self._queueing or self._dialogue.taking_content):
            self.cut_off()

    def cut_off(self) -> None:
        """End the session now."""
        self._end(SHUTTING_DOWN)

    def _end(self, reply: Reply) -> None:
        """End the session from outside its task."""
        self._ended = True
        if self.transport is None:
            return
        if self._writer.transport.get_write_buffer_size():  # the client does not read
            self._writer.transport.abort()
        else:
            self._writer.write(reply.encode())
            self._writer.close()

    def _count_sessions(self) -> None:
        level(metrics.SMTPD_SESSIONS, len(self._connections), self._context.listener.name)

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
            self._connections.discard(self)
            self._count_sessions()
            if self.transport is None and self._timeout_handle:
                self._timeout_handle.cancel()
            self._writer.close()  # the timer goes on: a client that does not read is cut off by it

    async def _converse(self) -> None:
        action: Action = self._first()
        result = "refused" if isinstance(action, Reply) and action.close else "accepted"
        count(metrics.SMTPD_CONNECTIONS, self._context.listener.name, result)
        while True:
            match action:
                case Queue(message):
                    self._queueing = True
                    action = self._dialogue.queued(await accept(self._dialogue.session, message))
                    self._queueing = False
                    continue
                case Login(mechanism, step):
                    action = self._dialogue.logged_in(await self._log_in(mechanism, step))
                    continue
                case StartTLS():
                    self._replies += READY_FOR_TLS.encode()
                    await self._start_tls()
                case Reply():
                    self._replies += action.encode()
                    if action.close:
                        await self._flush()
                        return
            action = await self._next()

    def _first(self) -> Reply:
        if self._stopping.is_set():  # accepted before, and told of only now
            return SHUTTING_DOWN
        if len(self._connections) > self._context.listener.max_connections:
            return self._dialogue.session.refuse("connect", TOO_MANY_CONNECTIONS)
        return self._dialogue.greeting()

    async def _next(self) -> Action:
        """What the dialogue wants next, with as many bytes as it needs."""
        self._reset_timeout()
        if self._stopping.is_set() and not self._dialogue.taking_content:
            return SHUTTING_DOWN
        while (action := self._dialogue.next()) is None:
            self._dialogue.feed(await self._read())
            if self._dialogue.taking_content:
                self._reset_timeout()
        return action

    async def _log_in(self, mechanism: str, step: Check | Done | Failed) -> User | Reply:
        assert self._context.logins
        await self._flush()
        return await self._context.logins.finish(self._dialogue.session.client, mechanism, step)

    async def _start_tls(self) -> None:
        """Send the reply, shake hands. Raises OSError."""
        assert self._context.tls
        await self._flush()
        # RFC 3207 section 5: what was read ahead in clear may be another's.
        self._reader._buffer.clear()  # type: ignore[attr-defined]
        await self._writer.start_tls(self._context.tls())
        self.transport = self._reader._transport = self._writer.transport  # type: ignore[attr-defined]
        self._dialogue.secured(self._writer.get_extra_info("ssl_object").version())

    async def _read(self) -> bytes:
        """More bytes, after the replies of all that was read before have gone out together (RFC 2920 3.2)."""
        await self._flush()
        data = await self._reader.read(CHUNK)
        if not data:
            raise EOFError
        return data

    async def _flush(self) -> None:
        if self._replies:
            self._writer.write(bytes(self._replies))
            self._replies.clear()
            await self._writer.drain()
