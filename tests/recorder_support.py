"""What recorders of tests record, and what became of it."""

import asyncio
import time
from typing import Any

from common.broker import Broker, Message
from common.event import Event, Type, pack
from events.recorder import Recorder
from events.store import Columns, Store


class KilledError(Exception):
    """Stands for the end of a recorder's process."""


class Wrapped:
    """A store to put in front of the real one; tests override what is to go wrong."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def insert(self, table: str, columns: Columns, token: str) -> None:
        self.store.insert(table, columns, token)

    def query(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return self.store.query(sql, parameters)


async def happen(broker: Broker, count: int) -> list[str]:
    """So many events, two to a message but the last; their ids."""
    events = [Event(time=time.time(), type=Type.DELIVERED) for i in range(count)]
    for first in range(0, count, 2):
        await broker.put(Message("e.default", pack(events[first : first + 2])))
    return [event.id for event in events]


def recorder(broker: Broker, store: Any) -> Recorder:
    """One that ends when nothing is left."""
    stopping = asyncio.Event()
    stopping.set()
    return Recorder(broker, store, stopping)


def recorded(store: Store) -> list[str]:
    return [row["id"] for row in store.query("SELECT id FROM events ORDER BY stream_sequence, row_number", {})]


async def left(broker: Broker) -> int:
    return sum((await broker.subjects("EVENTS", ">")).values())
