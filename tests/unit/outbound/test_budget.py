import asyncio

from outbound.budget import Budget


async def test_never_more_than_the_total_and_in_order() -> None:
    budget, in_use, most, order = Budget(100), 0, 0, list[int]()

    async def use(number: int, size: int) -> None:
        nonlocal in_use, most
        async with budget.use(size):
            order.append(number)
            in_use += size
            most = max(most, in_use)
            await asyncio.sleep(0)
            in_use -= size

    sizes = [60, 60, 10, 90, 30, 1, 99]
    await asyncio.gather(*(use(number, size) for number, size in enumerate(sizes)))
    assert order == list(range(len(sizes)))
    assert most <= 100


async def test_one_larger_than_all_of_it_goes_alone() -> None:
    budget = Budget(100)
    async with budget.use(500):
        waiting = asyncio.create_task(budget.use(1).__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)


async def test_small_ones_pass_by() -> None:
    budget = Budget(100, uncounted=10)
    async with budget.use(100), budget.use(10):
        waiting = asyncio.create_task(budget.use(11).__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)
