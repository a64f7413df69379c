"""Waiting for an event or so long, whoever is cancelled meanwhile."""

import asyncio

import pytest

from common.waits import wait


async def test_it_ends_with_the_event_or_with_the_time() -> None:
    event = asyncio.Event()
    await wait(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    async with asyncio.timeout(10):
        await wait(event, 3600)


@pytest.mark.parametrize("steps", range(6))
async def test_who_is_cancelled_as_the_event_comes_ends(steps: int) -> None:
    """Seen as a worker that did not end within 60 s: what another one told it came with its SIGTERM."""
    event, rounds = asyncio.Event(), 0

    async def keep() -> None:
        nonlocal rounds
        while rounds < 2:
            await wait(event, 3600)
            event.clear()
            rounds += 1

    task = asyncio.create_task(keep())
    for _ in range(10):
        await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    ended = task.cancelled()
    task.cancel()
    assert ended
