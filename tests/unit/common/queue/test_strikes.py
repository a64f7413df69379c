"""Strikes are written after a crash only, for a minute, and five of them are enough."""

from contextlib import AbstractAsyncContextManager

import pytest
from queue_support import left
from support import make_entry

from common.broker import Broker
from common.entry import Entry
from common.queue.strikes import LIMIT, WATCH, PoisonError, Strikes

STREAM, FILTER = "KV_strikes", "$KV.strikes.default.*.1"


#: Attempts that nobody ends; collected, they would end themselves.
_begun: list[AbstractAsyncContextManager[None]] = []


async def died(broker: Broker, *entries: Entry) -> None:
    """A worker starts, begins attempts and is never heard of again."""
    strikes = Strikes(broker, "default", "w0")
    await strikes.start()
    for entry in entries:
        _begun.append(attempt := strikes.around(entry))
        await attempt.__aenter__()


async def test_a_worker_that_follows_nobody_writes_none(broker: Broker) -> None:
    strikes = Strikes(broker, "default", "w0")
    await strikes.start()
    async with strikes.around(make_entry()):
        assert await left(broker, STREAM, FILTER) == {}


async def test_a_worker_after_one_that_ended_by_itself_writes_none(broker: Broker) -> None:
    first = Strikes(broker, "default", "w0")
    await first.start()
    await first.stop()
    await test_a_worker_that_follows_nobody_writes_none(broker)


async def test_after_a_crash_a_strike_lasts_as_long_as_the_attempt(broker: Broker) -> None:
    await died(broker)
    strikes = Strikes(broker, "default", "w0")
    await strikes.start()
    async with strikes.around(make_entry()):
        assert len(await left(broker, STREAM, FILTER)) == 1
    assert await left(broker, STREAM, FILTER) == {}


async def test_after_a_minute_none_is_written(broker: Broker) -> None:
    await died(broker)
    now = 0.0
    strikes = Strikes(broker, "default", "w0", lambda: now)
    await strikes.start()
    now = WATCH
    async with strikes.around(make_entry()):
        assert await left(broker, STREAM, FILTER) == {}


async def test_what_killed_enough_workers_is_poison_once(broker: Broker) -> None:
    poison, other = make_entry(), make_entry()
    await died(broker)
    for _ in range(LIMIT):
        await died(broker, poison)
    strikes = Strikes(broker, "default", "w0")
    await strikes.start()
    with pytest.raises(PoisonError, match="5 attempts"):
        await strikes.around(poison).__aenter__()
    async with strikes.around(other), strikes.around(poison):  # released, it has new chances
        pass


async def test_what_raised_often_enough_is_poison_whichever_worker_it_was(broker: Broker) -> None:
    poison, other = make_entry(), make_entry()
    for i in range(1, LIMIT):
        strikes = Strikes(broker, "default", f"w{i}")
        await strikes.start()
        async with strikes.around(poison):
            await strikes.raised(poison, LookupError())
    await strikes.raised(other, LookupError())
    with pytest.raises(PoisonError, match=r"^5 attempts .* the last with KeyError\('a bug'\)$"):
        await strikes.raised(poison, KeyError("a bug"))
    await strikes.raised(poison, KeyError())  # released, it has new chances
