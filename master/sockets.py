"""The listeners' sockets, bound by the parent: a taken port is told at once, and survives a child."""

import errno
import socket

from common.config import Listener, split_host_port
from common.errors import CannotCreateError, UnavailableError


def bind(listener: Listener) -> list[socket.socket]:
    """One socket per process of a listener. Raises UnavailableError (taken), CannotCreateError (not allowed)."""
    _open(listener, shared=False).close()  # with SO_REUSEPORT alone, another server's port would look free
    return [_open(listener, shared=True) for _ in range(listener.processes)]


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _open(listener: Listener, *, shared: bool) -> socket.socket:
    host, port = split_host_port(listener.bind)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
        if not shared:
            sock.listen()  # two sockets may be bound to one address; only one may listen
    except OSError as error:
        sock.close()
        where = f"listener {listener.name}: {listener.bind}"
        if error.errno == errno.EADDRINUSE:
            raise UnavailableError(f"{where} is taken by another program; stop it or change bind") from None
        raise CannotCreateError(f"{where}: {error.strerror}; change bind, or run with the right to use it") from None
    return sock
