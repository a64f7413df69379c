"""Retry now: what waits for another try, and nothing else unless it is asked for."""

import time

from control_support import give, moving, told
from queue_support import kinds, submit
from support import make_entry, until

from common.broker import Broker
from common.controls.control import Match
from common.ids import new_id
from common.queue import listing, retry
from common.queue.finish import Finisher
from common.queue.schedule import scheduled
from common.queue.take import Taker
from common.subjects import entry as entry_subject

LATER = time.time() + 3600


async def waiting(broker: Broker, tag: str) -> None:
    """One of the campaign that waits for its next try, and one that is sent later."""
    retried = make_entry(tags=(tag,), attempts=1, last_reply="450 later")
    await broker.put(scheduled(entry_subject("q", retried), retried.pack(), new_id(), LATER))
    await submit(broker, make_entry(tags=(tag,), due=LATER))


async def run(broker: Broker, match: Match, **options: bool) -> int:
    return sum([count async for count in retry.retry(broker, ["default"], match, **options)])


async def test_mail_that_waits_for_its_next_try(broker: Broker) -> None:
    await waiting(broker, "spring")
    await waiting(broker, "other")
    assert await run(broker, Match(campaign="spring")) == 1
    assert await kinds(broker) == ["q", "s", "s", "s"]
    assert await run(broker, Match(tag="spring"), later=True) == 1
    assert await kinds(broker) == ["q", "q", "s", "s"]
    assert {one.entry.campaign for one in await ready(broker)} == {"spring"}  # type: ignore[union-attr]


async def ready(broker: Broker) -> list[listing.Listed]:
    return [one async for one in listing.entries(broker, "default") if one.kind == "q"]


async def test_what_is_set_aside_goes_back_and_what_is_paused_does_not(broker: Broker) -> None:
    poison, unreadable, paused = make_entry(tags=("spring",)), make_entry(), make_entry(tags=("spring",))
    finisher = Finisher(broker, "default", Taker(broker, "default"))
    await finisher.hold(entry_subject("q", poison), 10**6, poison.pack(), "because", "poison")
    await finisher.hold(entry_subject("q", unreadable), 10**6, b"nonsense", "because")
    await submit(broker, paused)
    async with moving(broker):
        await give(broker)
        await until(lambda: all_held(broker))
    assert await run(broker, Match(campaign="spring"), held=True) == 1
    assert [one.id for one in await ready(broker)] == [poison.id]
    assert await run(broker, Match(id=unreadable.submission), held=True) == 1
    assert [one.stored.body for one in await ready(broker)] == [poison.pack(), b"nonsense"]
    assert await kinds(broker) == ["h", "q", "q"]
    assert (await told(broker))["resumed"] == 2


async def all_held(broker: Broker) -> bool:
    return await kinds(broker) == ["h"] * 3
