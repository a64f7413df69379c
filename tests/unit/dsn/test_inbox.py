"""Reading the queue of feedback: each mail once, what cannot be worked on is held, nobody dies of it twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from queue_support import rows, submit
from support import Nats, make_entry, until

from common.broker import Broker, BrokerFailure, Message, UnknownOutcomeError
from common.entry import FEEDBACK_POOL, Entry
from common.queue import leases, streams
from common.subjects import entry as subject_of
from common.subjects import queue_stream
from dsn import inbox
from dsn.inbox import Inbox, Letter

STREAM = queue_stream(FEEDBACK_POOL)


@pytest.fixture
async def reader(broker: Broker) -> AsyncIterator[Inbox]:
    await streams.ensure_surely(broker, ["default", FEEDBACK_POOL], 10**9)
    made = Inbox(broker, "one")
    await made.start()
    yield made
    await made.drain(1)


def feedback(**changes: object) -> Entry:
    return make_entry("x@bounces.example.net", pool=FEEDBACK_POOL, **changes)


async def left(broker: Broker) -> list[str]:
    return sorted(subject[0] for subject in await broker.subjects(STREAM, ">"))


async def empty(broker: Broker) -> bool:
    return not await left(broker)


async def is_read(broker: Broker) -> bool:
    with contextlib.suppress(BrokerFailure):
        return bool(await broker.api(f"CONSUMER.INFO.{STREAM}.dsn"))
    return False


class Reading:
    """A reader at work on what comes, which it keeps; ``fails`` is raised for each mail."""

    def __init__(self, reader: Inbox) -> None:
        self.letters: list[Letter] = []
        self.fails: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.task = asyncio.create_task(reader.run(self.handle))

    async def handle(self, letter: Letter) -> None:
        self.letters.append(letter)
        await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)

    async def __aenter__(self) -> "Reading":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_more_than_there_is_room_for(broker: Broker, reader: Inbox) -> None:
    entries = [feedback() for _ in range(2 * inbox.ROOM + 5)]
    await asyncio.gather(*(submit(broker, entry) for entry in entries))
    async with Reading(reader) as reading:
        reading.gate.clear()
        await until(lambda: len(reading.letters) == inbox.ROOM)
        reading.gate.set()
        await until(lambda: empty(broker))
    assert {letter.entry.id for letter in reading.letters} == {entry.id for entry in entries}
    assert len(reading.letters) == len(entries)


async def test_what_failed_is_handed_out_again(
    broker: Broker, reader: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "ACK_WAIT", 1.0)
    async with Reading(reader) as reading:
        reading.fails = [UnknownOutcomeError("x")]
        await until(lambda: is_read(broker))
        await submit(broker, feedback())
        await until(lambda: empty(broker))
    assert len(reading.letters) == 2
    assert reading.letters[1].maybe_seen


async def test_who_is_alone_takes_over_at_once(broker: Broker, reader: Inbox) -> None:
    await submit(broker, feedback())
    async with Reading(reader) as first:
        first.gate.clear()
        await until(lambda: first.letters)
    await leases.renew(broker, f"{leases.FEEDBACK}.one", "one")  # as the dead one left it
    again = Inbox(broker, "one")
    await again.start()
    async with Reading(again) as second:
        await until(lambda: empty(broker))
    assert [letter.maybe_seen for letter in second.letters] == [True]


async def test_beside_others_it_reads_along(broker: Broker, reader: Inbox) -> None:
    await leases.renew(broker, f"{leases.FEEDBACK}.one", "one")
    async with Reading(reader) as first:
        first.gate.clear()
        await submit(broker, feedback())
        await until(lambda: first.letters)
        other = Inbox(broker, "two")
        await other.start()
        async with Reading(other) as second:
            await submit(broker, feedback())
            await until(lambda: len(second.letters) + len(first.letters) == 2)
            first.gate.set()
            await until(lambda: empty(broker))
    assert len({letter.entry.id for letter in (*first.letters, *second.letters)}) == 2
    await other.drain(1)


async def test_the_broker_is_started_again(broker: Broker, reader: Inbox, nats: Nats) -> None:
    broker.on_connect.append(lambda: streams.ensure_surely(broker, ["default", FEEDBACK_POOL], 10**9))
    await submit(broker, first := feedback())
    async with Reading(reader) as reading:
        reading.gate.clear()
        await until(lambda: reading.letters)
        nats.kill()
        nats.start()
        await until(lambda: is_read(broker))
        await submit(broker, later := feedback())
        await until(lambda: len(reading.letters) > 1)
        reading.gate.set()
        await until(lambda: empty(broker))
    # what was in hand is not begun again
    assert [letter.entry.id for letter in reading.letters] == [first.id, later.id]


async def test_what_cannot_be_read_is_held(broker: Broker, reader: Inbox) -> None:
    await broker.put(Message(subject_of("q", feedback()), b"no entry"))
    async with Reading(reader) as reading:
        await until(lambda: is_held(broker))
        assert reading.letters == []
    assert await rows(broker) == ["held"]


async def is_held(broker: Broker) -> bool:
    return await left(broker) == ["h"]
