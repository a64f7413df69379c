"""Pools that have a stream in the broker, those too that were taken out of the configuration with mail in them."""

from collections.abc import Iterable

from common.broker import Broker
from common.queue import levels
from common.subjects import queue_stream


async def known(broker: Broker, configured: Iterable[str]) -> list[str]:
    """The configured pools, then those that only the broker knows. Raises what ``Broker.api`` raises."""
    streams: list[str] = (await broker.api("STREAM.NAMES", {"subject": "q.>"}))["streams"] or []
    prefix = queue_stream("")
    return list(dict.fromkeys([*configured, *sorted(stream.removeprefix(prefix) for stream in streams)]))


async def left_behind(broker: Broker, configured: Iterable[str]) -> dict[str, int]:
    """How many deliveries lie in each pool that is not configured, so that nobody sends them.

    Pools with none are left out. Raises what ``Broker.api`` raises.
    """
    configured, found = list(configured), {}
    for pool in (await known(broker, configured))[len(configured) :]:
        if number := sum(level.count for level in (await levels.of_pool(broker, pool)).values()):
            found[pool] = number
    return found
