"""Orders as tests give them, and a mover at work."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

from support import until

from common.broker import Broker
from common.controls import store
from common.controls.control import Action, Control, Match
from common.event import unpack
from common.ids import new_id
from common.queue import listing, progress
from common.queue.mover import Mover, Report


def make_order(action: str = "pause", **changes: object) -> Control:
    """An order about a campaign, unless another match is given."""
    values: dict[str, object] = {
        "id": new_id(), "match": Match(campaign="spring"), "reason": "wrong price", "by": "ann@desk",
        "since": time.time(),
    }  # fmt: skip
    return Control(action=Action(action), **(values | changes))  # type: ignore[arg-type]


async def give(broker: Broker, action: str = "pause", **changes: object) -> Control:
    return await store.write(broker, make_order(action, **changes))


async def end(broker: Broker, order: Control) -> None:
    """Have an order end, and wait until it has."""
    await store.end(broker, order, "bob@desk")
    await until(lambda: _is_gone(broker, order))


async def _is_gone(broker: Broker, order: Control) -> bool:
    return order.id not in {known.id for known in await store.read(broker)}


async def done(broker: Broker, order: Control) -> progress.Progress:
    """Wait until what was there is moved."""
    found = [progress.Progress()]

    async def is_done() -> bool:
        found[0] = await progress.read(broker, order)
        return found[0].done

    await until(is_done)
    return found[0]


@contextlib.asynccontextmanager
async def moving(broker: Broker, report: Report | None = None) -> AsyncIterator[Mover]:
    mover = Mover(broker, ["default"], report)
    await mover.start()
    task = asyncio.create_task(mover.run())
    try:
        yield mover
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(broker: Broker) -> dict[str, int]:
    """How many rows of each type there are, but for ``accepted``."""
    rows = [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]
    return dict(Counter(row["type"] for row in rows if row["type"] != "accepted"))
