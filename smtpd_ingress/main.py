"""The role ``smtpd_ingress`` as a process: listeners in front, the queue behind."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable

from common.entry import Entry
from common.event import Event
from common.queue.intake import Intake
from common.queue.room import Disk, Room
from common.role import Role
from common.suppression.suppressions import Suppressions
from common.users.users import Users
from common.verp_keys import Keyring
from smtpd_ingress.feedback import Feedback
from smtpd_ingress.logins import Logins
from smtpd_ingress.quota import Quotas
from smtpd_ingress.rejections import Rejections
from smtpd_ingress.role import run


async def main(role: Role) -> None:
    """Take mail until told to stop. With sockets from the parent, only their listeners are served."""
    config = role.config
    sockets = {name: socket.socket(fileno=fd) for name, fd in role.sockets.items()}
    if sockets:
        served = [listener for listener in config.listeners if listener.name in sockets]
        config = config.model_copy(update={"listeners": served})
    room = Room(role.broker, role.servers.max_store, Disk.of(role.config))
    intakes = {pool: Intake(role.broker, room, pool) for pool in config.queues}
    rejections = Rejections(role.broker)

    def submit(entries: list[Entry], content: bytes, *rows: Event) -> Awaitable[None]:
        return intakes[rows[0].pool].submit(entries, content, *rows)

    users, suppressions = Users(), Suppressions()
    await users.start(role.broker)
    await suppressions.start(role.broker)
    logins, quotas = Logins(users, config.logins), Quotas(role.broker)
    feedback = None
    if config.feedback.domain:
        keyring = Keyring(config.feedback, config.data_dir)
        feedback = Feedback(config.feedback, config.logins, keyring.tokens)
    watches = (room.watch(), users.watch(role.broker), suppressions.watch(role.broker))
    background = [asyncio.create_task(work) for work in (*watches, rejections.send())]
    try:
        await run(
            config, submit, rejections.add, role.stopping, sockets, logins, quotas, room.has, feedback, suppressions
        )
    finally:
        await quotas.close()
        for task in background:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await rejections.flush()
