"""Sockets that processes listen on, and what is said when one cannot be had."""

import errno
import os
import socket
from collections.abc import Mapping

from common.config import Pool
from common.errors import CannotCreateError, ConfigError, PostjetError, UnavailableError
from common.section import split_host_port


def bind(address: str, what: str, *, shared: bool = False) -> socket.socket:
    """A socket bound to ``host:port``; with ``shared`` other processes may do the same (SO_REUSEPORT).

    ``what`` names it in errors. Raises UnavailableError (taken), CannotCreateError (not permitted), ConfigError
    (not an address of ours).
    """
    host, port = split_host_port(address)
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
        raise _explained(f"{what}: {address}", error) from None
    return sock


def is_local(address: str) -> bool:
    """The address is this machine's: only then can a socket be bound to it."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def check_sources(pools: Mapping[str, Pool]) -> None:
    """Raises ConfigError where a pool's source address is not this machine's."""
    for name, pool in pools.items():
        if missing := [address for address in pool.source_addresses if not is_local(address)]:
            raise ConfigError(
                f"pools.{name}.source_addresses: {', '.join(missing)}: not on this machine; "
                "'ip address' lists what is, add it there or take it out here"
            )


def shown(sock: socket.socket) -> str:
    """The address that a socket has, as ``host:port``."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explained(what: str, error: OSError) -> PostjetError:
    if error.errno == errno.EADDRINUSE:
        return UnavailableError(f"{what} is taken by another program; stop it or choose another port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotCreateError(f"{what}: not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE")
    return ConfigError(f"{what}: {os.strerror(error.errno or 0)}")
