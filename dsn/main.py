"""The role ``dsn``: reads mail to ``feedback.domain``."""

import asyncio
import contextlib

from common.broker import Broker, BrokerFailure
from common.clickhouse import Database
from common.entry import FEEDBACK_POOL
from common.errors import ConfigError
from common.policies.policies import Policies
from common.queue import leases
from common.queue.room import Disk, ReportRoom
from common.queue.strikes import Strikes
from common.queue.sweep import Sweeper
from common.role import Role, together
from dsn.desk import Desk
from dsn.history import History
from dsn.inbox import Inbox

#: Seconds that feedback in hand has when the process stops.
GRACE = 5.0


async def main(role: Role) -> None:
    """Read until told to stop. Raises ConfigError."""
    config, broker = role.config, role.broker
    if not config.feedback.domain:
        raise ConfigError("feedback.domain: role dsn has nothing to read without it")
    if not role.servers.clickhouse_url:
        raise ConfigError("clickhouse.url: role dsn finds deliveries in ClickHouse; say where it is")
    history = History(Database(role.servers.clickhouse_url), broker, config.feedback.valid)
    strikes = Strikes(broker, FEEDBACK_POOL, role.holder)
    room = ReportRoom(broker, role.servers.max_store, Disk.of(config))
    inbox = Inbox(broker, role.holder)
    policies = Policies.load(config, role.config_file)
    desk = Desk(f"{role.name}-{role.slot}", config, broker, inbox, history, strikes, room, policies)
    sweeper = Sweeper(broker, FEEDBACK_POOL, config.nats.sweep_every, config.nats.orphan_age)
    sweeping = leases.while_alone(broker, f"sweeper.{FEEDBACK_POOL}", role.holder, sweeper.run, role.stopping)
    await strikes.start()
    await inbox.start()
    try:
        await together(
            role.stopping, inbox.run(desk.handle), room.watch(), sweeping, policies.watch(broker),
            _live(broker, role.holder),
        )  # fmt: skip
    finally:
        await inbox.drain(GRACE)
        await strikes.stop()


async def _live(broker: Broker, holder: str) -> None:
    """Say that somebody reads feedback, for ever."""
    while True:
        with contextlib.suppress(BrokerFailure):
            await leases.renew(broker, f"{leases.FEEDBACK}.{holder}", holder)
        await asyncio.sleep(leases.RENEW)
