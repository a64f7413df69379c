"""Sockets of listeners, and the sessions on them."""

import asyncio
import contextlib
import socket

import structlog

from common import sockets
from common.codes import SHUTTING_DOWN
from common.listener import Listener
from smtpd_ingress.clients import Clients
from smtpd_ingress.context import Context
from smtpd_ingress.door import Door
from smtpd_ingress.wire import Connection

log = structlog.get_logger()
_BACKLOG = 1024


def bind(listener: Listener, *, shared: bool = True) -> socket.socket:
    """A socket, which other processes may share unless told (SO_REUSEPORT).

    Raises what ``common.sockets.bind`` raises.
    """
    return sockets.bind(listener.bind, f"listener {listener.name!r}", shared=shared)


class Server:
    """One listener at work in this process."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clients: Clients[Connection] = Clients(context.listener)
        self._waiting: set[Door] = set()
        self._stopping = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sock: socket.socket | None = None

    async def start(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        self._sock = sock
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Door(self._context, self._clients, self._waiting, self._stopping), sock=sock, backlog=_BACKLOG
        )
        host, port = sock.getsockname()[:2]
        listener = self._context.listener
        limits = f", as one of {listener.processes} with limits of its own" if listener.processes > 1 else ""
        log.info(f"listener {listener.name}: listening on {host} port {port}{limits}")
        if listener.tls == "starttls" and not listener.tls_cert:
            log.info(f"listener {listener.name}: STARTTLS is not offered, as there is no tls_cert")

    async def stop(self, grace: float) -> None:
        """Take no more; sessions end, messages coming in have ``grace`` seconds to be queued."""
        self._stopping.set()
        if self._server and self._sock:
            _turn_away(self._sock, SHUTTING_DOWN.encode() if self._context.listener.tls != "implicit" else b"")
            self._server.close()
        for client in (*self._waiting, *self._clients):
            client.shut_down()
        tasks = {connection.task(): connection for connection in self._clients}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        if late:
            log.warning(f"listener {self._context.listener.name}: {len(late)} sessions cut off after {grace:.0f}s")
        for task in late:
            tasks[task].cut_off()
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _turn_away(sock: socket.socket, reply: bytes) -> None:
    """Answer 421 (RFC 5321 3.8) to who has connected and was not greeted yet; closing alone would reset them."""
    with contextlib.suppress(OSError):
        while True:
            client, _ = sock.accept()
            with client:
                client.send(reply)
