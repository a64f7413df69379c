"""Webhooks within the role ``events``: one process reads, all of them send."""

import asyncio
import contextlib
import time

import structlog

from common.broker import BrokerFailure
from common.queue import leases
from common.queue.overdue import fire_overdue
from common.role import Role
from common.subjects import HOOKS_STREAM
from common.waits import wait
from events.hooks import state
from events.hooks.client import Client
from events.hooks.queue import Room
from events.hooks.reader import RETRY, Reader
from events.hooks.sender import Sender
from events.hooks.state import States

log = structlog.get_logger()

#: Seconds after a mistake of ours.
AGAIN = 10.0


async def run(role: Role) -> None:
    """Tell endpoints what happens until told to stop. A mistake in here keeps nothing from being recorded."""
    while not role.stopping.is_set():
        try:
            await _run(role)
        except Exception:
            log.exception("webhooks: a mistake of ours; beginning again")
            await wait(role.stopping, AGAIN)


async def _run(role: Role) -> None:
    endpoints, broker, stopping = role.config.webhooks, role.broker, role.stopping
    states = States(broker)
    while not await _knows(states):
        await wait(stopping, RETRY)
        if stopping.is_set():
            return
    room = Room(broker, endpoints, role.servers.max_store)
    reader = Reader(broker, endpoints, states, room, stopping)

    async def read() -> None:
        """What only one does at a time."""
        sweeping = asyncio.create_task(_sweep(role))
        try:
            await reader.run()
        finally:
            sweeping.cancel()

    watching = asyncio.create_task(states.watch())
    try:
        async with contextlib.AsyncExitStack() as clients, asyncio.TaskGroup() as tasks:
            for endpoint in endpoints:
                client = await clients.enter_async_context(Client(endpoint, role.config.dns.nameservers))
                tasks.create_task(Sender(broker, client, states, stopping).run())
            tasks.create_task(leases.while_alone(broker, state.LEASE, role.holder, read, stopping))
    finally:
        watching.cancel()


async def _knows(states: States) -> bool:
    try:
        await states.look()
    except BrokerFailure as error:
        log.debug("webhooks: %s", error)
        return False
    return True


async def _sweep(role: Role) -> None:
    """Forget endpoints that are not in the configuration any more; now and then send what is stuck, and forget what
    nobody will send."""
    known = False
    while True:
        try:
            if not known:
                await state.only(role.broker, role.config.webhook_names)
                known = True
            await fire_overdue(role.broker, HOOKS_STREAM, "w.s.>", time.time())
            await state.expire(role.broker, role.config.webhooks)
        except Exception as error:
            log.warning("webhooks: sweeping: %s", error)
        await asyncio.sleep(role.config.nats.sweep_every if known else RETRY)
