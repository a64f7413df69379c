"""The role ``events``: records what happened, and tells webhooks."""

import asyncio
import contextlib

import structlog

from common.broker import BrokerFailure
from common.errors import PostjetError
from common.queue import leases
from common.recipients import make_key
from common.role import Role
from common.thread import in_thread
from events import positions, schema
from events.conceal import Concealer
from events.hooks import state
from events.outage import Outage
from events.recorder import RETRY, Recorder
from events.store import Store

log = structlog.get_logger()


async def main(role: Role) -> None:
    """Record until told to stop; what is in the stream by then is recorded first."""
    telling = asyncio.create_task(_tell_webhooks(role))
    store = Store(role.servers.clickhouse_url)
    await _migrate(store, role)
    config = role.config
    recorder = Recorder(
        role.broker,
        store,
        role.stopping,
        prepare=lambda: schema.migrate(store.client, config.events),
        conceal=Concealer(make_key(config.data_dir)) if config.events.recipients == "hashed" else None,
    )
    await leases.while_alone(role.broker, "recorder", role.holder, recorder.run, role.stopping)
    await telling


async def _tell_webhooks(role: Role) -> None:
    if role.config.webhooks:
        from events.hooks import main as hooks  # an HTTP client is not for everybody to load

        await hooks.run(role)
        return
    with contextlib.suppress(BrokerFailure):
        if not await leases.holder(role.broker, state.LEASE):  # where there were some, nobody reads for them any more
            await positions.forget(role.broker, "hooks")
            await state.only(role.broker, ())


async def _migrate(store: Store, role: Role) -> None:
    """What the rows of a range under way need; the rest is made by the recorder, when none is."""
    outage = Outage()
    while not role.stopping.is_set():
        try:
            await in_thread(lambda: schema.migrate(store.client, role.config.events, alone=False))
            return
        except PostjetError as error:
            if outage.goes_on(type(error).__name__):
                log.warning("events: the tables cannot be made: %s; trying again", error)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(role.stopping.wait(), RETRY)
