"""Who has confirmed the orders: asked by the mover before it touches anything, and by the commands."""

import asyncio
import json
import time
from dataclasses import dataclass

from common.broker import Broker
from common.queue import leases

EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the live workers say."""

    workers: frozenset[str]
    """``<pool>.<slot>`` of those that have confirmed."""
    missing: frozenset[str]
    busy: frozenset[str]
    """Deliveries under an order whose mail was on its way."""


async def look(broker: Broker, revision: int) -> Confirmed:
    """Who has read as far as ``revision``. Raises what the broker raises."""
    live = {**await leases.live(broker, "leaving"), **await leases.live(broker, "worker")}
    said = {key: json.loads(text) for key, text in (await leases.live(broker, "controls")).items()}
    workers, missing, busy = set(), set(), set[str]()
    for key, incarnation in live.items():
        name = key.partition(".")[2]
        word = said.get(f"controls.{name}")
        if word and word["incarnation"] == incarnation and word["revision"] >= revision:
            workers.add(name)
            busy |= set(word["busy"])
        else:
            missing.add(name)
    return Confirmed(frozenset(workers), frozenset(missing), frozenset(busy))


async def wait(broker: Broker, revision: int, timeout: float = float("inf")) -> Confirmed:
    """Wait until every live worker has confirmed; who dies counts no more when its lease has lapsed.

    After ``timeout`` seconds what there is. Raises what the broker raises.
    """
    deadline = time.monotonic() + timeout
    while True:
        confirmed = await look(broker, revision)
        if not confirmed.missing or time.monotonic() >= deadline:
            return confirmed
        await asyncio.sleep(EVERY)
