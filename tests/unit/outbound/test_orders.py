"""What is under an order is left alone; when the order is over it comes again at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from control_support import give
from queue_support import Outlet, open_outlet, submit
from support import make_entry, until

from common.broker import Broker
from common.controls import store
from common.controls.watch import Watcher
from outbound.orders import OrderedError, Orders


@pytest.fixture
async def outlet(broker: Broker) -> AsyncIterator[Outlet]:
    outlet = await open_outlet(broker)
    yield outlet
    await outlet.close()


async def test_left_and_given_back(broker: Broker, outlet: Outlet) -> None:
    watcher = Watcher(broker, "default", "w0", outlet.lanes.incarnation)
    orders = Orders(watcher, outlet.taker)
    watcher.on_change = orders.give_back
    await watcher.start()
    task = asyncio.create_task(watcher.keep())
    entry = make_entry(tags=("spring",))
    await submit(broker, entry)
    taken = await outlet.take()
    orders.set_out(taken)
    assert orders.under_way() == [entry.but(content=taken.entry.content)]
    orders.ended(taken)
    assert orders.under_way() == []
    order = await give(broker)
    await until(lambda: orders.over(taken))
    with pytest.raises(OrderedError, match="wrong price"):
        orders.set_out(taken)
    assert not orders.may_end(taken)
    assert taken.dropped
    assert outlet.taker.held == 0
    await store.write(broker, order.but(released=True))
    again = await outlet.take()  # sooner than after its ack_wait
    assert again.entry.id == entry.id
    assert orders.may_end(again)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_mail_on_its_way_is_ended_by_its_worker(broker: Broker, outlet: Outlet) -> None:
    watcher = Watcher(broker, "default", "w0", outlet.lanes.incarnation)
    orders = Orders(watcher, outlet.taker)
    await submit(broker, make_entry(tags=("spring",)))
    taken = await outlet.take()
    orders.set_out(taken)
    await give(broker)
    await watcher.start()
    assert orders.over(taken)
    assert orders.may_end(taken)
