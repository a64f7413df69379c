"""A worker is killed between any two of its steps: docs/queue-states.md, "Delivering"."""

import time
from collections.abc import Awaitable, Callable

import pytest
from crash_support import DOMAIN, LATER, MIDDLE, PATIENCE, WORKER, Crashes, Left, Row, after, before, unreadable
from queue_support import submit
from support import make_entry, until

from common.broker import Broker, Message
from common.queue.strikes import LIMIT
from master.demo.sink_script import Rule

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEVER = "550 5.1.1 Unknown"
#: Who is told of what the rule refuses.
WRITER, REFUSED = f"writer@{DOMAIN}", Rule(phase="rcpt", recipient=f"r0@{DOMAIN}", reply=NEVER)
FULL = Rule(phase="rcpt", recipient=f"full@{DOMAIN}", reply="552 5.2.2 Mailbox is full")
FINISH = "common.queue.finish:Finisher"

CONSUMER_DELETED = after(WORKER, "common.broker:Broker.api", "CONSUMER.DELETE")
HELD = before(WORKER, f"{FINISH}._remove_surely")
SCHEDULED = after(WORKER, f"{FINISH}._schedule")


async def overdue(broker: Broker) -> None:
    await submit(broker, make_entry(f"r@{DOMAIN}", sender="", expires=time.time() - 1))


async def successful(broker: Broker) -> None:
    """Its sender is to be told that it was passed on."""
    await submit(broker, make_entry(f"r@{DOMAIN}", sender=WRITER, notify="SUCCESS"))


async def delayed(broker: Broker) -> None:
    """Its sender is to be told of the delay, at once."""
    accepted = time.time() - 5 * 3600
    await submit(broker, make_entry(f"r@{DOMAIN}", sender=WRITER, notify="DELAY", accepted=accepted))


def full(sender: str) -> Callable[[Broker], Awaitable[None]]:
    """To a mailbox that the sink says is full, of a sender for whom it was not yet."""

    async def sends(broker: Broker) -> None:
        await submit(broker, make_entry(f"full@{DOMAIN}", sender=sender, notify="NEVER"))

    return sends


ROWS = [
    Row(
        name="taken",
        point=before(WORKER, "outbound.worker:Worker._deliver"),
        left=Left("q", 0, "accepted"), events="accepted delivered",
    ),
    Row(
        name="parked",
        point=after(WORKER, "outbound.park:Park.push"),
        recipients=2, gated=True,
        left=Left("qq", 1, "accepted"), events="accepted delivered delivered",
    ),
    Row(
        name="in the transaction",
        point=before(WORKER, "outbound.connection:Connection._send"),
        left=Left("q", 0, "accepted"), events="accepted delivered",
    ),
    Row(
        name="sent and not recorded",
        point=after(WORKER, "outbound.site:Site.deliver"),
        left=Left("q", 0, "accepted"), arrives=2, events="accepted delivered",
    ),
    Row(
        name="delivered and not acked",
        point=before(WORKER, f"{FINISH}._end"),
        left=Left("q", 0, "accepted delivered"), arrives=2, events="accepted delivered delivered",
    ),
    Row(
        name="bounced and not acked",
        point=before(WORKER, f"{FINISH}._end"),
        rules=lambda: [Rule(phase="rcpt", reply=NEVER)],
        left=Left("q", 0, "accepted bounced"), arrives=0, events="accepted bounced bounced",
    ),
    Row(
        name="expired and not acked",
        point=before(WORKER, f"{FINISH}._end"),
        sends=overdue, left=Left("q", 0, "accepted expired"), arrives=0, events="accepted expired expired",
    ),
    Row(
        name="bounced and not reported",
        point=before(WORKER, f"{FINISH}._report"),
        sender=WRITER, rules=lambda: [REFUSED],
        left=Left("q", 0, "accepted bounced"), events="accepted accepted bounced bounced delivered",
    ),
    Row(
        name="reported and no row of it",
        point=before(WORKER, "common.queue.reports:accepted"),
        sender=WRITER, rules=lambda: [REFUSED], waits=WRITER, stays="s",
        left=Left("qq", 0, "accepted bounced"), events="accepted accepted bounced deferred delivered",
    ),
    Row(
        name="reported and not acked",
        point=after(WORKER, f"{FINISH}._report"),
        sender=WRITER, rules=lambda: [REFUSED], waits=WRITER, stays="s",
        left=Left("qq", 0, "accepted accepted bounced"), events="accepted accepted bounced deferred delivered",
    ),
    Row(
        name="bounced and not suppressed",
        point=before(WORKER, "common.suppression.store:change"),
        sends=full("one@sender.test"), rules=lambda: [FULL], arrives=0,
        left=Left("q", 0, "accepted bounced"), events="accepted admin bounced bounced",
    ),
    Row(
        name="suppressed and not acked",
        point=after(WORKER, "common.suppression.store:change"),
        sends=full("two@sender.test"), rules=lambda: [FULL], arrives=0,
        left=Left("q", 0, "accepted admin bounced"), events="accepted admin bounced suppressed",
    ),
    Row(
        name="acked and content not released",
        point=before(WORKER, "common.queue.bodies:Bodies.remove"),
        recipients=2, left=Left("", 1, "accepted delivered delivered"), events="accepted delivered delivered", swept=1,
    ),
    Row(
        name="deferred and not scheduled",
        point=before(WORKER, f"{FINISH}._schedule"),
        rules=lambda: [Rule(phase="rcpt", reply=LATER, times=1)],
        left=Left("q", 0, "accepted deferred"), events="accepted deferred delivered",
    ),
    Row(
        name="content moved and not scheduled",
        point=after(WORKER, "common.queue.bodies:Bodies.put"),
        content=MIDDLE, rules=lambda: [Rule(phase="rcpt", reply=LATER, times=1)],
        left=Left("q", 1, "accepted deferred"), events="accepted deferred delivered", swept=1,
    ),
    Row(
        name="content moved and deferred again",
        point=after(WORKER, "common.queue.bodies:Bodies.put"),
        content=MIDDLE, rules=lambda: [Rule(phase="rcpt", reply=LATER, times=2)], stays="s",
        left=Left("q", 1, "accepted deferred"), events="accepted deferred deferred delivered",
    ),
    Row(
        name="delivered and reported and not acked",
        point=after(WORKER, f"{FINISH}._report"),
        sends=successful, waits=WRITER, stays="s", left=Left("qq", 0, "accepted accepted delivered"),
        arrives=2, events="accepted accepted deferred delivered delivered",
    ),
    Row(
        name="delay reported and not scheduled",
        point=after(WORKER, f"{FINISH}._report"),
        sends=delayed, waits=WRITER, stays="s", left=Left("qq", 0, "accepted accepted deferred"),
        arrives=2, events="accepted accepted deferred deferred deferred delivered delivered",
    ),
    Row(
        name="scheduled and not acked",
        point=after(WORKER, f"{FINISH}._schedule"),
        content=MIDDLE, rules=lambda: [Rule(phase="rcpt", reply=LATER, times=1)], stays="s",
        left=Left("qs", 1, "accepted deferred"), events="accepted deferred delivered",
    ),
    Row(
        name="held and row only",
        point=after(WORKER, f"{FINISH}._surely", "subject='e.default'"),
        sends=unreadable, stays="h", left=Left("q", 0, "held"), arrives=0, events="held",
    ),
    Row(
        name="held and not removed",
        point=before(WORKER, f"{FINISH}._remove_surely"),
        sends=unreadable, stays="h", left=Left("hq", 0, "held"), arrives=0, events="held",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_delivering(crashes: Crashes, row: Row) -> None:
    await crashes.check(row)


async def test_fired_before_the_ack(crashes: Crashes) -> None:
    """The schedule comes due before its worker is back: the fired entry replaces the one that was not acked."""
    await crashes.begin(Rule(phase="rcpt", reply=LATER, times=1))
    with crashes.parent_stopped():
        crashes.arm(SCHEDULED)
        assert await crashes.send(content=MIDDLE)
        await crashes.struck()
        await crashes.fire()
        await until(lambda: crashes.lies_there("q"), PATIENCE)
    await crashes.end("accepted deferred delivered", arrives=1)


async def test_poison_held_and_not_removed(crashes: Crashes) -> None:
    """Its strikes are taken back when it is held: whoever finds its other copy must not try it again."""
    await crashes.begin()
    entry = make_entry(f"r@{DOMAIN}")
    with crashes.parent_stopped():
        await crashes.kill(WORKER)
        await submit(crashes.connection, entry)
        strike = f"$KV.strikes.default.{entry.submission}.{entry.number}"
        await crashes.connection.put(Message(strike, str(LIMIT).encode()))
        crashes.arm(HELD)
    await crashes.struck()
    await crashes.end("accepted held", arrives=0, held="h")


async def test_consumers_half_made(crashes: Crashes) -> None:
    """A worker that takes over deletes each consumer of the dead one and makes it anew."""
    await crashes.begin()
    with crashes.parent_stopped():
        await crashes.kill(WORKER)
        crashes.arm(CONSUMER_DELETED)
    await crashes.struck()
    assert await crashes.send()
    await crashes.end("accepted delivered", arrives=1)
