"""A connection before it has a session: who it is, and whether it may come in. Costs little where it may not."""

import asyncio
from typing import cast

import structlog

from common import metrics
from common.codes import CROWDED_OUT, SHUTTING_DOWN
from common.counting import count
from smtpd_ingress.clients import Clients
from smtpd_ingress.context import Context, client_address
from smtpd_ingress.dialogue import Dialogue
from smtpd_ingress.proxy import BadProxyError, parse
from smtpd_ingress.wire import Connection

log = structlog.get_logger()

#: Seconds that a proxy has for its header.
PROXY_TIMEOUT = 10.0


class Door(asyncio.Protocol):
    """Takes a connection from the loop and hands it on to a ``Connection``, which is a task and much memory."""

    def __init__(self, context: Context, clients: Clients[Connection], waiting: "set[Door]", stopping: asyncio.Event):
        self._context, self._clients, self._waiting, self._stopping = context, clients, waiting, stopping
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        if peername is None:  # gone already
            self._transport.abort()
            return
        self._peer = client_address(peername)
        if self._stopping.is_set():  # accepted before, and told of only now
            self.shut_down()
        elif not self._context.is_proxy(self._peer):
            self._let_in(self._peer)
        elif len(self._waiting) >= self._context.listener.max_connections:
            self._turn_away("too many connections without PROXY header")
        else:
            self._waiting.add(self)
            timeout = f"no PROXY header within {PROXY_TIMEOUT:.0f}s"
            self._timer = asyncio.get_running_loop().call_later(PROXY_TIMEOUT, self._turn_away, timeout)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            header = parse(self._received)
        except BadProxyError as error:
            self._turn_away(str(error))
            return
        if header:
            self._received = self._received[header.length :]
            self._forget()
            self._let_in(header.client or self._peer)

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()

    def shut_down(self) -> None:
        """Answer 421 instead of a greeting."""
        self._forget()
        if self._context.listener.tls != "implicit":
            self._transport.write(SHUTTING_DOWN.encode())
        self._transport.close()

    def _let_in(self, client: str) -> None:
        listener = self._context.listener
        exempt = self._context.may_relay(client) or self._context.may_xclient(client)
        dialogue = Dialogue(self._context, client)
        if refusal := self._clients.refusal(client, exempt):
            reply = dialogue.session.refuse("connect", refusal)
            count(metrics.SMTPD_CONNECTIONS, listener.name, "refused")
            if listener.tls != "implicit":
                self._transport.write(reply.encode())
            self._transport.close()
            return
        connection = Connection(dialogue, self._clients, self._stopping)
        if leaves := self._clients.enter(connection, client, exempt):
            leaves.turn_out(CROWDED_OUT)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        if self._received:
            connection.data_received(self._received)

    def _turn_away(self, why: str) -> None:
        """Close what no proxy can have meant."""
        log.warning(f"PROXY: [{self._peer}]: {why}")
        count(metrics.SMTPD_CONNECTIONS, self._context.listener.name, "refused")
        self._forget()
        self._transport.abort()

    def _forget(self) -> None:
        self._waiting.discard(self)
        if self._timer:
            self._timer.cancel()
