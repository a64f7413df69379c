"""The queue's verbs as tests use them: submit, a worker's side, what is left."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from support import Nats, make_entry

from common.broker import Broker
from common.content import store
from common.entry import Entry
from common.event import Event, Type, unpack
from common.ids import new_id
from common.queue import listing, streams
from common.queue.finish import Finisher
from common.queue.intake import Intake
from common.queue.lanes import Lanes
from common.queue.room import Room
from common.queue.take import Taker
from common.queue.taken import Taken

CONTENT = store(b"Subject: x\r\n\r\nhello\r\n")


@dataclass(eq=False)
class Outlet:
    """A worker's side of the queue, put together as ``outbound.main`` does."""

    broker: Broker
    taker: Taker
    finisher: Finisher
    lanes: Lanes
    task: asyncio.Task[None]

    async def take(self) -> Taken:
        """The next entry that is still ours."""
        while True:
            taken = await asyncio.wait_for(self.taker.take(), 20)
            if not taken.dropped:
                return taken

    async def hand_out_again(self) -> None:
        """Drop what has not begun, as when the consumers are made anew; the broker hands it out again."""
        await self.taker.leave_all()
        await self.lanes.reconnected()

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.finisher.flush()
        await self.taker.leave_all()


async def open_outlet(broker: Broker, slot: str = "w0", incarnation: str = "") -> Outlet:
    taker = Taker(broker, "default")
    finisher = Finisher(broker, "default", taker)
    taker.on_unreadable = finisher.hold_soon
    lanes = Lanes(broker, "default", slot, incarnation or new_id(), taker.read, taker.leave, taker.holding)
    taker.on_deleted = lanes.look_again
    taker.on_outgrown = lanes.outgrown
    broker.on_connect.append(lanes.reconnected)
    await taker.start()
    return Outlet(broker, taker, finisher, lanes, asyncio.create_task(lanes.keep()))


@asynccontextmanager
async def connected(nats: Nats) -> AsyncIterator[Broker]:
    """Another process's connection."""
    broker = nats.broker()
    await broker.connect()
    broker.on_connect.append(lambda: streams.ensure_surely(broker, ["default"], 10**9))
    try:
        yield broker
    finally:
        await broker.close()


def intake_of(broker: Broker) -> Intake:
    return Intake(broker, Room(broker, 10**9))


def row(of: Entry, type_: Type = Type.ACCEPTED) -> Event:
    return Event(time=time.time(), type=type_, submission=of.submission, delivery=of.id)


async def submit(broker: Broker, *entries: Entry, content: bytes = CONTENT) -> None:
    await intake_of(broker).submit(list(entries), content, row(entries[0]))


def batch(count: int, **changes: object) -> list[Entry]:
    """The entries of one submission to several recipients."""
    submission = new_id()
    return [
        make_entry(f"r{i}@d{i % 3}.example", submission=submission, number=i + 1, **changes) for i in range(count)
    ]


async def left(broker: Broker, stream: str = "MQ_default", filter_: str = ">") -> dict[str, int]:
    return await broker.subjects(stream, filter_)


async def kinds(broker: Broker) -> list[str]:
    """``q``, ``s`` or ``h`` of every entry that lies there."""
    return sorted(subject[0] for subject in await left(broker))


async def rows(broker: Broker) -> list[str]:
    """The types of what happened, in order."""
    return [r["type"] async for stored in listing.walk(broker, "EVENTS", "e.>") for r in unpack(stored.body)]
