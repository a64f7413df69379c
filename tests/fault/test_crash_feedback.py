"""Whoever reads feedback is killed between any two of its steps: docs/queue-states.md, "Reading what comes back"."""

import time

import pytest
from crash_support import DOMAIN, DSN, FEEDBACK_DOMAIN, SECRET, Crashes, Left, Row, before
from feedback_support import report_on
from queue_support import submit
from support import make_entry

from common.broker import Broker, Message
from common.content import store
from common.entry import FEEDBACK_POOL, Entry
from common.event import Event, Type
from common.queue.rows import message
from common.queue.strikes import LIMIT
from common.verp import Tokens

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Who sent the mail that bounces.
WRITER, READER = f"writer@{DOMAIN}", f"who@{DOMAIN}"
TOKENS = Tokens([bytes.fromhex(SECRET)])


async def bounced(broker: Broker) -> Entry:
    """A bounce of a mail that was accepted a while ago; its entry. Nobody is suppressed for it."""
    now = time.time()
    mail = make_entry(READER, sender=WRITER)
    row = Event(time=now, type=Type.ACCEPTED, submission=mail.submission, sender=WRITER, recipients=(READER,))
    await broker.put(message("default", [row]))
    back = f"{TOKENS.make(mail, now)}@{FEEDBACK_DOMAIN}"
    entry = make_entry(back, sender="", pool=FEEDBACK_POOL)
    await submit(broker, entry, content=store(report_on(READER, status="5.3.4", text="552 5.3.4 Message too big")))
    return entry


ROWS = [
    Row(
        name="read and not told of",
        point=before(DSN, "dsn.inbox:Inbox.store"),
        sends=bounced, left=Left("q", 0, "accepted accepted"), events="accepted accepted accepted delivered dsn",
    ),
    Row(
        name="told of and not passed on",
        point=before(DSN, "dsn.desk:Desk._pass_on"),
        sends=bounced, left=Left("q", 0, "accepted accepted dsn"), events="accepted accepted accepted delivered dsn",
    ),
    Row(
        name="passed on and no row of it",
        point=before(DSN, "common.queue.reports:accepted"),
        sends=bounced, waits=WRITER, stays="s", left=Left("qq", 0, "accepted accepted dsn"),
        events="accepted accepted accepted deferred delivered dsn",
    ),
    Row(
        name="passed on and not acked",
        point=before(DSN, "dsn.inbox:Inbox._remove"),
        sends=bounced, waits=WRITER, stays="s", left=Left("qq", 0, "accepted accepted accepted dsn"),
        events="accepted accepted accepted deferred delivered dsn",
    ),
    Row(
        name="passed on, delivered and not acked",
        point=before(DSN, "dsn.inbox:Inbox._remove"),
        sends=bounced, events="accepted accepted accepted delivered dsn",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_feedback(crashes: Crashes, row: Row) -> None:
    await crashes.check(row)


async def test_feedback_that_killed_its_readers(crashes: Crashes) -> None:
    """Who has been the end of five is held; there is no sixth."""
    await crashes.begin()
    with crashes.parent_stopped():
        await crashes.kill(DSN)
        entry = await bounced(crashes.connection)
        strike = f"$KV.strikes.{FEEDBACK_POOL}.{entry.submission}.{entry.number}"
        await crashes.connection.put(Message(strike, str(LIMIT).encode()))
    await crashes.end("accepted accepted held", arrives=0, held="h")
