"""Sockets of listeners, and the sessions on them."""

import asyncio
import contextlib
import socket

import structlog

from common import sockets
from common.codes import SHUTTING_DOWN
from common.config import Listener
from smtpd_ingress.context import Context
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
        self._connections: set[Connection] = set()
        self._stopping = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sock: socket.socket | None = None

    async def start(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        self._sock = sock
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._context, self._connections, self._stopping), sock=sock, backlog=_BACKLOG
        )
        host, port = sock.getsockname()[:2]
        log.info(f"listener {self._context.listener.name}: listening on {host} port {port}")

    async def stop(self, grace: float) -> None:
        """Take no more; sessions end, messages coming in have ``grace`` seconds to be queued."""
        self._stopping.set()
        if self._server and self._sock:
            _turn_away(self._sock)
            self._server.close()
        for connection in list(self._connections):
            connection.shut_down()
        tasks = {connection.task(): connection for connection in self._connections}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        if late:
            log.warning(f"listener {self._context.listener.name}: {len(late)} sessions cut off after {grace:.0f}s")
        for task in late:
            tasks[task].cut_off()
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _turn_away(sock: socket.socket) -> None:
    """Answer 421 (RFC 5321 3.8) to who has connected and was not greeted yet; closing alone would reset them."""
    with contextlib.suppress(OSError):
        while True:
            client, _ = sock.accept()
            with client:
                client.send(SHUTTING_DOWN.encode())
