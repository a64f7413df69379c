"""The role ``smtpd_ingress``: every listener of the configuration in one process."""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import ExitStack

from common.config import Config
from smtpd_ingress.context import Context, Submit
from smtpd_ingress.listener import Server, bind
from smtpd_ingress.logins import Logins
from smtpd_ingress.quota import Quotas
from smtpd_ingress.rejection import OnReject

#: Seconds that messages coming in have when the process stops.
GRACE = 30.0


async def run(
    config: Config,
    submit: Submit,
    on_reject: OnReject,
    stopping: asyncio.Event,
    sockets: Mapping[str, socket.socket],
    logins: Logins | None = None,
    quotas: Quotas | None = None,
) -> None:
    """Take mail until ``stopping``. ``sockets`` are bound ones by listener name; what is missing is bound here.

    Raises UnavailableError, CannotCreateError or ConfigError when that cannot be done.
    """
    listeners = config.listeners
    servers = [Server(Context.of(config, listener, submit, on_reject, logins, quotas)) for listener in listeners]
    with ExitStack() as stack:
        bound = [stack.enter_context(sockets.get(listener.name) or bind(listener)) for listener in listeners]
        try:
            for server, sock in zip(servers, bound, strict=True):
                await server.start(sock)
            await stopping.wait()
        finally:
            await asyncio.gather(*(server.stop(GRACE) for server in servers))
