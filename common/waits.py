"""Waiting for an event, or for so long; looking again and again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from common.nats_connection import BrokerFailure

log = structlog.get_logger()


async def wait(event: asyncio.Event, timeout: float) -> None:
    """Return when the event is set, or after so many seconds.

    ``asyncio.wait_for`` does not do: who is cancelled just as the event is set is not told so (Python 3.11), and
    would go on for ever.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await event.wait()


async def keep_looking(look: Callable[[], Awaitable[object]], every: float, what: str) -> None:
    """``look`` every so many seconds, for ever; a broker that does not answer is asked again. ``what``: for the log."""
    while True:
        try:
            await look()
        except BrokerFailure as failure:
            log.debug("%s: %s", what, failure)
        await asyncio.sleep(every)
