"""The role ``api`` as a process: HTTP on ``[api] bind``."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import structlog
import uvicorn
from fastapi import FastAPI

from api import app, unsubscribe
from api.figures import Figures
from api.health import Health
from common import sockets, synced
from common.broker import Broker
from common.queue.room import Disk, Room
from common.role import Role, connecting

log = structlog.get_logger()

#: Seconds that answers under way have when the process stops.
GRACE = 3


class Server(uvicorn.Server):
    """Serves ``application``; ends when it is told, for signals are the role's."""

    def __init__(self, application: FastAPI) -> None:
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not uvicorn's, which would take the role's handlers away."""
        yield


async def main(role: Role) -> None:
    """Answer until told to stop. A socket from the parent is served, else one is bound here."""
    config, given = role.config, role.sockets.get("api")
    with socket.socket(fileno=given) if given else sockets.bind(config.api.bind, "api.bind") as sock:
        async with _system(role) as system:
            room = Room(role.broker, role.servers.max_store, Disk.of(config), quiet=True)
            clicks = unsubscribe.router(role.broker, config.suppression)
            server = Server(app.make(Health(role, system, room), Figures(role, room), config.data_dir, clicks))
            log.info("api: health and metrics on http://%s", sockets.shown(sock))
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve([sock]))
                watching = group.create_task(room.watch())
                await role.stopping.wait()
                server.should_exit = True
                watching.cancel()


@contextlib.asynccontextmanager
async def _system(role: Role) -> AsyncIterator[Broker | None]:
    """A connection that may ask the embedded nats-server about itself; None where there is none."""
    if not role.servers.nats_user:
        yield None
        return
    servers = replace(role.servers, nats_user=synced.USER)
    async with connecting(servers, [], "postjet-api-system") as broker:
        yield broker
