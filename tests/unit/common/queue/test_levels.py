"""How much lies in each state and for how long."""

import time

from queue_support import submit
from support import make_entry

from common.broker import Broker, with_id
from common.queue import levels
from common.subjects import HELD, SCHEDULED, entry


async def test_levels_of_an_empty_queue(broker: Broker) -> None:
    assert {state: level.count for state, level in (await levels.of_pool(broker, "default")).items()} == {
        "ready": 0, "scheduled": 0, "held": 0,
    }  # fmt: skip


async def test_levels(broker: Broker) -> None:
    before = time.time()
    await submit(broker, make_entry())
    between = time.time()
    for _ in range(2):
        await submit(broker, make_entry())
    for kind in (SCHEDULED, HELD):
        later = make_entry()
        headers = {"Nats-Schedule": "@at 2200-01-01T00:00:00Z", "Nats-Schedule-Target": entry("q", later)}
        await broker.put(with_id(entry(kind, later), later.pack(), f"{kind}.{later.id}", **headers))
    found = await levels.of_pool(broker, "default")
    assert {state: level.count for state, level in found.items()} == {"ready": 3, "scheduled": 1, "held": 1}
    assert before - 0.01 <= found["ready"].oldest <= between + 0.01
