"""Ingress is killed between any two of its steps: docs/queue-states.md, "Taking mail"."""

import pytest
from crash_support import INGRESS, LARGE, Crashes, Left, Row, after, before

REFUSED = before(INGRESS, "common.queue.intake:Intake._purge_surely")
REJECTED = before(INGRESS, "common.broker:Broker.put", "rejected")

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = [
    Row(
        name="nothing stored",
        point=before(INGRESS, "common.queue.intake:Intake.submit"),
        answered=False, left=Left("", 0, ""), arrives=0, events="",
    ),
    Row(
        name="content without entries",
        point=after(INGRESS, "common.queue.bodies:Bodies.put"),
        recipients=2, answered=False, left=Left("", 1, ""), arrives=0, events="", swept=1,
    ),
    Row(
        name="chunks incomplete",
        point=after(INGRESS, "common.broker:Broker.store", "b.default."),
        recipients=2, content=LARGE, answered=False, left=Left("", 1, ""), arrives=0, events="", swept=1,
    ),
    Row(
        name="batch not committed",
        point=before(INGRESS, "common.nats_connection:Connection.request", "Nats-Batch-Commit"),
        recipients=2, answered=False, left=Left("", 1, ""), arrives=0, events="", swept=1,
    ),
    Row(
        name="entries without row",
        point=after(INGRESS, "common.broker:Broker.store", "q.default."),
        recipients=2, answered=False, left=Left("qq", 1, ""), events="delivered delivered",
    ),
    Row(
        name="row without 250",
        point=after(INGRESS, "common.broker:Broker.store", "e.default"),
        recipients=2, answered=False, left=Left("qq", 1, "accepted"), events="accepted delivered delivered",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_taking_mail(crashes: Crashes, row: Row) -> None:
    await crashes.check(row)


async def test_refused_and_not_purged(crashes: Crashes) -> None:
    """The row finds no room, so the entry is purged again; killed before that, ingress leaves it to be delivered."""
    await crashes.begin()
    await crashes.greeted()
    events = (await crashes.connection.api("STREAM.INFO.EVENTS"))["config"]
    await crashes.connection.api("STREAM.UPDATE.EVENTS", events | {"max_msg_size": 1})
    with crashes.parent_stopped():
        crashes.arm(REFUSED)
        assert not await crashes.send()
        await crashes.struck()
        assert "q" in (await crashes.left()).entries
    await crashes.end("delivered", arrives=1)  # ingress set the stream right when it came back


async def test_rejections_not_stored(crashes: Crashes) -> None:
    """Rejections are gathered for a second; those of the last one are lost."""
    await crashes.begin()
    with crashes.parent_stopped():
        crashes.arm(REJECTED)
        assert not await crashes.send(domain="-")
        await crashes.struck()
    await crashes.end("", arrives=0)
