"""The mover is killed between any two of its steps, and a worker with mail under an order: docs/queue-states.md."""



import pytest
from control_support import give
from crash_support import DOMAIN, PATIENCE, WORKER, Crashes, Left, Row, after, before
from queue_support import batch, kinds, submit
from support import make_entry, until

from common.broker import Broker
from common.controls import confirm, store
from common.entry import Entry
from common.queue import progress
from master.demo.sink_script import Rule

pytestmark = pytest.mark.asyncio(loop_scope="session")

CARRIER = "common.queue.carrier:Carrier"
SPRING = {"sender": "", "tags": ("spring",)}


def mail() -> Entry:
    return make_entry(f"r@{DOMAIN}", **SPRING)


async def ordered(broker: Broker, action: str) -> None:
    """An order that is in force and has found nothing yet."""
    order = await give(broker, action)
    await confirm.wait(broker, order.revision)
    await until(lambda: is_done(broker), PATIENCE)


async def paused(broker: Broker) -> None:
    await ordered(broker, "pause")
    await submit(broker, mail())


async def stopped(broker: Broker) -> None:
    await ordered(broker, "stop")
    await submit(broker, mail())


async def stopped_with_shared_content(broker: Broker) -> None:
    await ordered(broker, "stop")
    await submit(broker, *batch(2, **SPRING))


async def resumed(broker: Broker) -> None:
    await paused(broker)
    await until(lambda: is_held(broker), PATIENCE)
    [order] = await store.read(broker)
    await store.end(broker, order, "bob@desk")


ROWS = [
    Row(
        name="under a pause and not told",
        point=before(WORKER, f"{CARRIER}._tell"),
        sends=paused, stays="h", left=Left("q", 0, "accepted admin"), arrives=0, events="accepted admin deferred",
    ),
    Row(
        name="told and not held",
        point=before(WORKER, f"{CARRIER}._hold"),
        sends=paused, stays="h", left=Left("q", 0, "accepted admin deferred"), arrives=0,
        events="accepted admin deferred",
    ),
    Row(
        name="held by an order and not removed",
        point=before(WORKER, f"{CARRIER}._remove"),
        sends=paused, stays="h", left=Left("hq", 0, "accepted admin deferred"), arrives=0,
        events="accepted admin deferred",
    ),
    Row(
        name="stopped and not removed",
        point=before(WORKER, f"{CARRIER}._stop"),
        sends=stopped, left=Left("q", 0, "accepted admin stopped"), arrives=0, events="accepted admin stopped",
    ),
    Row(
        name="stopped and content not released",
        point=after(WORKER, f"{CARRIER}._remove"),
        sends=stopped_with_shared_content, left=Left("", 1, "accepted admin stopped stopped"), arrives=0,
        events="accepted admin stopped stopped", swept=1,
    ),
    Row(
        name="let go and not brought back",
        point=before(WORKER, f"{CARRIER}._bring_back"),
        sends=resumed, left=Left("h", 0, "accepted admin deferred resumed"),
        events="accepted admin admin deferred delivered resumed",
    ),
    Row(
        name="brought back",
        point=after(WORKER, f"{CARRIER}._bring_back"),
        sends=resumed, left=Left("q", 0, "accepted admin deferred resumed"),
        events="accepted admin admin deferred delivered resumed",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_moving(crashes: Crashes, row: Row) -> None:
    await crashes.check(row)
    await forget_orders(crashes.connection)


@pytest.mark.parametrize(
    ("action", "left_over", "types"), [("stop", "", "accepted admin stopped"), ("pause", "h", "accepted admin")]
)
async def test_killed_with_mail_on_its_way(crashes: Crashes, action: str, left_over: str, types: str) -> None:
    """The held copy that the mover made of it is what is left."""
    await crashes.begin(Rule(phase="rcpt", do="hang"))
    with crashes.parent_stopped():
        await submit(crashes.connection, mail())
        await until(lambda: is_hanging(crashes), PATIENCE)
        order = await give(crashes.connection, action)
        assert (await confirm.wait(crashes.connection, order.revision)).busy
        await until(lambda: crashes.lies_there("h"), PATIENCE)
        await crashes.kill(WORKER)
    crashes.sink.rules.clear()
    await until(lambda: crashes.lies_there(left_over), PATIENCE)
    await until(lambda: is_done(crashes.connection), PATIENCE)
    await crashes.end(types, arrives=0, held=left_over)
    await forget_orders(crashes.connection)


async def test_killed_with_parked_mail_under_an_order(crashes: Crashes) -> None:
    """Nothing of it goes out when another worker is handed it again."""
    await crashes.begin(Rule(phase="rcpt", do="hang"))
    with crashes.parent_stopped():
        await submit(crashes.connection, make_entry(f"first@{DOMAIN}", sender=""))
        await until(lambda: is_hanging(crashes), PATIENCE)
        for _ in range(3):
            await submit(crashes.connection, mail())
        await until(lambda: all_handed_out(crashes.connection), PATIENCE)
        crashes.arm(before(WORKER, f"{CARRIER}._tell"))
        await give(crashes.connection)
        await crashes.struck()
        assert await crashes.left() == Left("qqqq", 0, "accepted accepted accepted accepted")
    crashes.sink.rules.clear()
    await crashes.sink.wait_for(1, PATIENCE)
    await until(lambda: is_done(crashes.connection), PATIENCE)
    await crashes.end(f"{'accepted ' * 4}admin {'deferred ' * 3}delivered", arrives=1, held="hhh")
    await forget_orders(crashes.connection)


async def all_handed_out(broker: Broker) -> bool:
    """Nothing waits any more: a worker has all, and can send one at a time."""
    consumers = (await broker.api("CONSUMER.LIST.MQ_default"))["consumers"]
    return sum(one["num_pending"] for one in consumers) == 0


async def is_held(broker: Broker) -> bool:
    return await kinds(broker) == ["h"]


async def is_done(broker: Broker) -> bool:
    [order] = await store.read(broker)
    return (await progress.read(broker, order)).done


async def is_hanging(crashes: Crashes) -> bool:
    return any(rule.used for rule in crashes.sink.rules)


async def forget_orders(broker: Broker) -> None:
    for order in await store.read(broker):
        await store.remove(broker, order)
