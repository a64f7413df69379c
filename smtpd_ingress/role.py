"""The role ``smtpd_ingress``: every listener of the configuration in one process."""

import asyncio
import resource
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import structlog

from common.config import Config
from common.listener import Listener
from common.suppression.suppressions import Suppressions
from smtpd_ingress.context import Context, HasRoom, Submit, always
from smtpd_ingress.feedback import Feedback
from smtpd_ingress.listener import Server, bind
from smtpd_ingress.logins import Logins
from smtpd_ingress.quota import Quotas
from smtpd_ingress.rejection import OnReject

#: Seconds that messages coming in have when the process stops.
GRACE = 30.0
#: Files that are open besides clients' connections, and those that are closing.
_OTHER_FILES = 100

log = structlog.get_logger()


async def run(
    config: Config,
    submit: Submit,
    on_reject: OnReject,
    stopping: asyncio.Event,
    sockets: Mapping[str, socket.socket],
    logins: Logins | None = None,
    quotas: Quotas | None = None,
    has_room: HasRoom = always,
    feedback: Feedback | None = None,
    suppressions: Suppressions | None = None,
) -> None:
    """Take mail until ``stopping``. ``sockets`` are bound ones by listener name; what is missing is bound here.

    Raises UnavailableError, CannotCreateError or ConfigError when that cannot be done.
    """
    listeners = config.listeners
    _tell_of_few_files(listeners)
    of = partial(Context.of, submit=submit, on_reject=on_reject, logins=logins, quotas=quotas, has_room=has_room)
    servers = [Server(of(config, one, feedback=feedback, suppressions=suppressions)) for one in listeners]
    with ExitStack() as stack:
        bound = [stack.enter_context(sockets.get(listener.name) or bind(listener)) for listener in listeners]
        try:
            for server, sock in zip(servers, bound, strict=True):
                await server.start(sock)
            await stopping.wait()
        finally:
            await asyncio.gather(*(server.stop(GRACE) for server in servers))


def _tell_of_few_files(listeners: Sequence[Listener]) -> None:
    """Say so where the system does not let us have as many connections as configured."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = sum(listener.max_connections for listener in listeners) + _OTHER_FILES
    if allowed < needed:
        names = ", ".join(listener.name for listener in listeners)
        log.warning(
            f"listener {names}: max_connections needs {needed} open files, the system allows {allowed}: "
            "raise LimitNOFILE of the service (ulimit -Hn), or lower max_connections"
        )
