"""A worker is killed between any two of its steps: docs/queue-states.md, "Delivering"."""

import base64
import os

import pytest
from crash_support import WORKER, Crashes, Left, Row, after, before

from master.demo.sink_script import Rule

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: More than an entry keeps while it is scheduled.
MIDDLE = b"\r\n".join(base64.encodebytes(os.urandom(9000)).split(b"\n"))
LATER, NEVER = "450 4.2.0 Later", "550 5.1.1 Unknown"
FINISH = "common.queue.finish:Finisher"

ROWS = [
    Row(
        name="taken",
        point=before(WORKER, "outbound.worker:Worker._deliver"),
        left=Left("q", 0, "accepted"), events="accepted delivered",
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
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_delivering(crashes: Crashes, row: Row) -> None:
    await crashes.check(row)
