"""Waiting for an event, or for so long."""

import asyncio
import contextlib


async def wait(event: asyncio.Event, timeout: float) -> None:
    """Return when the event is set, or after so many seconds.

    ``asyncio.wait_for`` does not do: who is cancelled just as the event is set is not told so (Python 3.11), and
    would go on for ever.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await event.wait()
