"""Ingress is killed between any two of its steps: docs/queue-states.md, "Taking mail"."""

import pytest
from crash_support import INGRESS, Crashes, Left, Row, after, before

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
