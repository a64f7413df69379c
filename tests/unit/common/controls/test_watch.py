"""Workers know the orders before their first entry, follow changes, and confirm what they have read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from control_support import end, give, moving
from queue_support import connected
from support import Nats, make_entry, until

from common.broker import Broker, Message
from common.controls import confirm, store
from common.controls.watch import Watcher
from common.queue import leases

SPRING = make_entry(tags=("spring",))
OTHER = make_entry()


@asynccontextmanager
async def watching(broker: Broker, slot: str = "w0") -> AsyncIterator[Watcher]:
    watcher = Watcher(broker, "default", slot, f"{slot}-1")
    await leases.renew(broker, f"worker.default.{slot}", f"{slot}-1")
    await watcher.start()
    task = asyncio.create_task(watcher.keep())
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_orders_are_known_from_the_start(broker: Broker) -> None:
    order = await give(broker)
    watcher = Watcher(broker, "default", "w0", "1")
    await watcher.start()
    assert watcher.order(SPRING) == order
    assert watcher.order(OTHER) is None


async def test_every_worker_confirms_a_change(broker: Broker) -> None:
    async with watching(broker) as one, watching(broker, "w1") as two:
        two.busy = lambda: [SPRING, OTHER]
        order = await give(broker)
        confirmed = await confirm.wait(broker, order.revision, 5)
        assert (confirmed.workers, confirmed.missing) == ({"default.w0", "default.w1"}, frozenset())
        assert confirmed.busy == {SPRING.id}
        assert one.order(SPRING) == two.order(SPRING) == order
        async with moving(broker):
            await asyncio.sleep(0)
            two.busy = tuple
            await end(broker, order)
        await until(lambda: not one.may_be_held(SPRING))
        assert one.order(SPRING) is None


async def test_who_has_not_confirmed_is_named(broker: Broker) -> None:
    async with watching(broker):
        await leases.renew(broker, "worker.default.w1", "w1-1")
        await leases.renew(broker, "controls.default.w1", '{"incarnation": "w1-0", "revision": 99, "busy": []}')
        order = await give(broker)
        confirmed = await confirm.wait(broker, order.revision, 2)
        assert (confirmed.workers, confirmed.missing) == ({"default.w0"}, {"default.w1"})


async def test_a_broker_that_comes_back_is_told_again(nats: Nats, broker: Broker) -> None:
    async with watching(broker) as watcher, connected(nats) as other:
        order = await give(other)
        await confirm.wait(other, order.revision, 5)
        nats.kill()
        nats.start()
        await until(lambda: _is_known(other, order.revision), 20)
        assert watcher.order(SPRING) == order


async def _is_known(broker: Broker, revision: int) -> bool:
    try:
        await leases.renew(broker, "worker.default.w0", "w0-1")
        return (await confirm.look(broker, revision)).workers == {"default.w0"}
    except Exception:
        return False


async def test_an_order_that_cannot_be_read_is_left_out(broker: Broker) -> None:
    await broker.put(Message("$KV.controls.broken", b"{}"))
    order = await give(broker)
    assert await store.read(broker) == [order]
