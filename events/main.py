"""The role ``events``: records what happened."""

import asyncio

import structlog

from common.queue import leases
from common.role import Role
from events import schema
from events.recorder import Recorder
from events.store import NotReachableError, Store

log = structlog.get_logger()


async def main(role: Role) -> None:
    """Record until told to stop; what is in the stream by then is recorded first."""
    store = Store(role.servers.clickhouse_url)
    await _migrate(store, role)
    recorder = Recorder(role.broker, store, role.stopping)
    await leases.while_alone(role.broker, "recorder", role.holder, recorder.run, role.stopping)


async def _migrate(store: Store, role: Role) -> None:
    while not role.stopping.is_set():
        try:
            client = await asyncio.to_thread(lambda: store.client)
            await asyncio.to_thread(schema.migrate, client, role.config.events.keep)
            return
        except NotReachableError as error:
            log.warning("events: %s; trying again", error)
            await asyncio.sleep(1)
