"""Sockets of listeners, and the sessions on them."""

import asyncio
import errno
import os
import socket

import structlog

from common.config import Listener, split_host_port
from common.errors import CannotCreateError, ConfigError, PostjetError, UnavailableError
from smtpd_ingress.context import Context
from smtpd_ingress.wire import Connection

log = structlog.get_logger()
_BACKLOG = 1024


def bind(listener: Listener, *, shared: bool = True) -> socket.socket:
    """A socket, which other processes may share unless told (SO_REUSEPORT).

    Raises UnavailableError (taken), CannotCreateError (not permitted), ConfigError (not an address of ours).
    """
    host, port = split_host_port(listener.bind)
    ipv6 = ":" in host
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        if not shared:
            sock.listen()  # two sockets may be bound to one address; one of them may listen
    except OSError as error:
        sock.close()
        raise _explained(listener, error) from None
    return sock


def _explained(listener: Listener, error: OSError) -> PostjetError:
    what = f"listener {listener.name!r}: {listener.bind}"
    if error.errno == errno.EADDRINUSE:
        return UnavailableError(f"{what} is taken by another program; stop it or choose another port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotCreateError(
            f"{what}: not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE"
        )
    return ConfigError(f"{what}: {os.strerror(error.errno or 0)}")


class Server:
    """One listener at work in this process."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._context, self._connections), sock=sock, backlog=_BACKLOG
        )
        host, port = sock.getsockname()[:2]
        log.info(f"listener {self._context.listener.name}: listening on {host} port {port}")

    async def stop(self, grace: float) -> None:
        """Take no more; sessions end, messages coming in have ``grace`` seconds to be queued."""
        if self._server:
            self._server.close()
        for connection in list(self._connections):
            connection.shut_down()
        tasks = [connection.task() for connection in self._connections]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        if late:
            log.warning(f"listener {self._context.listener.name}: {len(late)} sessions cut off after {grace:.0f}s")
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
