"""The recorder purges what every reader has read; none of them holds it for ever."""

import asyncio
import time

from recorder_support import happen, left, recorded, recorder
from support import until

from common.broker import Broker, BrokerError, Message
from common.event import Event, Type, pack
from common.queue import streams
from dsn.history import History
from events import positions
from events.positions import Position
from events.recorder import Recorder
from events.store import Store


async def created(broker: Broker) -> str:
    return await streams.created(broker, "EVENTS")


async def test_nobody_else_reads(broker: Broker) -> None:
    assert await positions.may_go(broker, 7) == 7


async def test_the_slowest_counts(broker: Broker) -> None:
    for name, next_ in (("hooks", 3), ("other", 5)):
        await positions.write(broker, name, Position(await created(broker), next_))
    assert await positions.may_go(broker, 7) == 3
    assert await positions.may_go(broker, 2) == 2
    await positions.forget(broker, "hooks")
    assert await positions.may_go(broker, 7) == 5


async def test_of_another_store_it_does_not_count(broker: Broker) -> None:
    await positions.write(broker, "hooks", Position("2020-01-01T00:00:00Z", 3))
    assert await positions.may_go(broker, 7) == 7


async def test_it_holds_a_quarter_at_most(broker: Broker) -> None:
    await streams.ensure(broker, ["default"], 20_000)  # EVENTS may have 4,000 bytes
    await positions.write(broker, "hooks", Position(await created(broker), 1))
    await broker.put(Message("e.default", b"x" * 800))
    assert await positions.may_go(broker, 2) == 1
    await broker.put(Message("e.default", b"x" * 800))
    assert await positions.may_go(broker, 3) == 3


async def test_a_reader_that_was_overtaken_by_another_may_not_write(broker: Broker) -> None:
    mine = await positions.write(broker, "hooks", Position(await created(broker), 1))
    await positions.write(broker, "hooks", Position(mine.created, 5, mine.revision))
    try:
        await positions.write(broker, "hooks", Position(mine.created, 2, mine.revision))
    except BrokerError as error:
        assert error.code in BrokerError.WRONG_SEQUENCE
    read = await positions.read(broker, "hooks")
    assert read
    assert read.next == 5


async def test_recorded_and_not_read_yet_stays(broker: Broker, store: Store) -> None:
    at = await positions.write(broker, "hooks", Position(await created(broker), 2))
    ids = await happen(broker, 6)
    await recorder(broker, store).run()
    assert (recorded(store), await left(broker)) == (ids, 2)
    # whoever records after a crash neither doubles nor forgets it
    ids += await happen(broker, 2)
    await recorder(broker, store).run()
    assert (recorded(store), await left(broker)) == (ids, 3)
    stopping = asyncio.Event()
    recording = asyncio.create_task(Recorder(broker, store, stopping).run())
    ids += await happen(broker, 2)
    await until(lambda: recorded(store) == ids)
    assert await left(broker) == 4
    await positions.write(broker, "hooks", Position(at.created, 6, at.revision))
    await until(lambda: _is_empty(broker))  # though nothing more happens
    stopping.set()
    await recording
    assert recorded(store) == ids


async def test_who_waits_for_what_happened_to_be_recorded_waits_for_no_reader(broker: Broker, store: Store) -> None:
    await positions.write(broker, "hooks", Position(await created(broker), 2))
    ids, stopping = await happen(broker, 6), asyncio.Event()
    recording = asyncio.create_task(Recorder(broker, store, stopping).run())
    async with asyncio.timeout(20):
        await History(store, broker, valid=0).caught_up()
    assert (recorded(store), await left(broker)) == (ids, 2)
    stopping.set()
    await recording
    # an empty range that is under way is nothing to whoever records next
    ids += await happen(broker, 2)
    await recorder(broker, store).run()
    assert (recorded(store), await left(broker)) == (ids, 3)


async def _is_empty(broker: Broker) -> bool:
    return not await left(broker)


async def test_purged_unread_it_is_recorded(broker: Broker, store: Store) -> None:
    await streams.ensure(broker, ["default"], 200_000)  # EVENTS may have 40,000 bytes
    await positions.write(broker, "hooks", Position(await created(broker), 1))
    events = [Event(time=time.time(), type=Type.DELIVERED, text="x" * 1000) for _ in range(20)]
    for event in events:
        await broker.put(Message("e.default", pack([event])))
    await recorder(broker, store).run()
    assert await left(broker) == 0
    assert sorted(recorded(store)) == sorted(event.id for event in events)
