"""Work behind other work: in order, few at a time, and nothing goes on when it has ended."""

import asyncio

import pytest

from common.queue.behind import DEPTH, Behind


async def test_few_at_a_time_and_all_in_the_end() -> None:
    running, most, ended = 0, 0, []

    async def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        ended.append(number)

    async with Behind() as behind:
        for number in range(10):
            await behind.begin(work(number))
    assert ended == list(range(10))
    assert most <= DEPTH + 1


@pytest.mark.parametrize("pieces", [1, DEPTH + 3])
async def test_a_failure_ends_all(pieces: int) -> None:
    cancelled = []

    async def fails() -> None:
        raise OSError("broken")

    async def lasts(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(number)

    async def begin_all() -> None:
        async with Behind() as behind:
            await behind.begin(fails())
            for number in range(pieces):
                await behind.begin(lasts(number))

    with pytest.raises(OSError, match="broken"):
        await asyncio.wait_for(begin_all(), 5)
    assert len(asyncio.all_tasks()) == 1
