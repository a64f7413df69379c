"""What ready mail waits for, for the stories of deliveries that have not ended."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from common import instance
from common.broker import Broker, BrokerFailure
from common.config import Config
from common.errors import UnavailableError
from common.event import Event, Status, Type
from common.queue import listing
from common.role import connected
from common.subjects import READY, submission
from common.workers import ask

#: Seconds for the whole look, and submissions that are looked at, the newest.
TIMEOUT, MAX_LOOKED_AT = 5.0, 100
_ENDED = (Status.DELIVERED, Status.UNDELIVERABLE)


def of_stories(config: Config, what: str, events: Sequence[Event]) -> list[str]:
    """A line for each delivery of ``what`` (id or address) that is ready and waits for something.

    None where the broker cannot be asked.
    """
    ended = Counter(event.submission for event in events if event.status in _ENDED)
    pools = {
        event.submission: event.pool
        for event in events
        if event.type == Type.ACCEPTED and ended[event.submission] < len(event.recipients)
    }
    if not pools:
        return []
    return asyncio.run(_ask(config, what.strip("<> ").lower(), dict(list(pools.items())[-MAX_LOOKED_AT:])))


async def _ask(config: Config, what: str, pools: dict[str, str]) -> list[str]:
    try:
        async with asyncio.timeout(TIMEOUT):
            async with connected(instance.find(config), config.queues, "postjet-trace") as broker:
                return await _lines(broker, what, pools)
    except (TimeoutError, UnavailableError, BrokerFailure):
        return []


async def _lines(broker: Broker, what: str, pools: dict[str, str]) -> list[str]:
    said, lines = await ask(broker), []
    for name, pool in pools.items():
        async for listed in listing.entries(broker, pool, submission(pool, name, READY)):
            entry = listed.entry
            if not entry or what not in (name, entry.id, entry.sender.lower(), entry.recipient.lower()):
                continue
            if reason := said.waits_for(pool, entry.domain):
                lines.append(f"{entry.id} to {entry.recipient} waits for {reason}")
    return lines
