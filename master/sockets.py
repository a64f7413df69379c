"""The sockets of listeners and api, bound by the parent: a taken port is told at once, and survives a child."""

import contextlib
import random
import socket

from common import sockets
from common.config import Api
from common.listener import Listener
from smtpd_ingress import listener as ingress_listener


def bind(listener: Listener) -> list[socket.socket]:
    """One socket per process of a listener. Raises what ``smtpd_ingress.listener.bind`` raises."""
    # with SO_REUSEPORT another server of ours would not be noticed: first one that shares with nobody
    ingress_listener.bind(listener, shared=False).close()
    return [ingress_listener.bind(listener) for _ in range(listener.processes)]


def bind_api(api: Api) -> socket.socket:
    """The socket of ``[api] bind``. Raises what ``common.sockets.bind`` raises."""
    return sockets.bind(api.bind, "api.bind")


def free_address(bind: str, what: str) -> tuple[str, int]:
    """Host, as URLs write it, and port of ``host:port`` that nobody listens on now; for port 0 a free one.

    Raises what ``common.sockets.bind`` raises.
    """
    sockets.bind(bind, what).close()
    host, _, port = bind.rpartition(":")
    return host, int(port) or free_port()


def free_port() -> int:
    """A port on loopback that nobody listens on now.

    Not one of those that the system gives to outgoing connections (32768 and up), which might take it while whoever
    listens there is started again.
    """
    while True:
        port = random.randrange(10_240, 32_768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
