"""Users in KV: ``$KV.users.<hash of the name>`` holds one as JSON."""

import json
import os

import structlog

from common import config_file
from common.broker import Broker, BrokerError, Message, Stored
from common.errors import ConfigError
from common.ids import token
from common.queue.listing import walk
from common.users.user import User

log = structlog.get_logger()

STREAM = "KV_users"
_PREFIX = "$KV.users."
#: What answers about unknown users are made of; no name's token is as short.
_SECRET = "$KV.users.secret"
#: What NATS' own tools know as a key that was deleted.
_DELETED = {"KV-Operation": "DEL"}


def read(stored: Stored) -> User | None:
    """The user of an entry; None of one that was removed, or (with a line in the log) cannot be read."""
    if "KV-Operation" in stored.headers:
        return None
    try:
        return config_file.validated(User, json.loads(stored.body), "", "entry")
    except (ConfigError, ValueError, RecursionError) as error:
        # the values are kept out of the log: hashes are among them
        lines = str(error).splitlines() if isinstance(error, ConfigError) else ["entry: no JSON"]
        log.error("users: %s cannot be read and may not log in: %s", stored.subject, lines[0])
        return None


async def entries(broker: Broker, after: int = 0) -> list[Stored]:
    """What was written after a sequence, removals too. Raises BrokerFailure."""
    return [
        stored async for stored in walk(broker, STREAM, f"{_PREFIX}>", after + 1) if stored.subject != _SECRET
    ]


async def last_sequence(broker: Broker) -> int:
    """That of the last entry written. Raises BrokerFailure."""
    return int((await broker.api(f"STREAM.INFO.{STREAM}"))["state"]["last_seq"])


async def find(broker: Broker, name: str) -> tuple[User | None, int]:
    """A user and the sequence of its entry, to guard a change. Raises BrokerFailure."""
    stored = await broker.last(STREAM, _PREFIX + token(name))
    return (read(stored), stored.sequence) if stored else (None, 0)


async def put(broker: Broker, user: User, sequence: int) -> None:
    """Write a user, unless somebody else did since ``sequence`` (0: none may be there).

    Raises BrokerFailure; a BrokerError whose code is in ``WRONG_SEQUENCE`` where somebody did.
    """
    guard = {"Nats-Expected-Last-Subject-Sequence": str(sequence)}
    await broker.put(Message(_PREFIX + token(user.name), json.dumps(user.stored()).encode(), guard))


async def remove(broker: Broker, name: str, sequence: int) -> None:
    """Remove a user, as ``put`` does."""
    guard = {"Nats-Expected-Last-Subject-Sequence": str(sequence)}
    await broker.put(Message(_PREFIX + token(name), b"", {**_DELETED, **guard}))


async def secret(broker: Broker) -> bytes:
    """32 random bytes, the same for every process of the instance. Raises BrokerFailure."""
    while (stored := await broker.last(STREAM, _SECRET)) is None:
        try:
            await broker.put(Message(_SECRET, os.urandom(32), {"Nats-Expected-Last-Subject-Sequence": "0"}))
        except BrokerError as error:
            if error.code not in BrokerError.WRONG_SEQUENCE:
                raise
    return stored.body
