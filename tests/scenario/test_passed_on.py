"""What the sender asked for goes on to a server that offers it; where it does not, the sender is told so."""

import email
import time
from typing import Any

import pytest
from queue_support import submit
from scenario_support import broker, mx, story
from support import make_entry, until

from common.broker import Broker
from common.content import store
from common.entry import Entry
from common.ids import report_id
from common.subjects import queue_stream, submission
from master.demo.generator import make_message
from master.demo.sink import ASKING, EXTENSIONS
from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def send(connection: Broker, recipient: str, sender: str, **asked: Any) -> Entry:
    """A mail in the queue, as if a client had said all that with MAIL and RCPT."""
    entry = make_entry(recipient, sender=sender, expires=time.time() + 600, **asked)
    await submit(connection, entry, content=store(make_message(1000, sender=sender, recipient=recipient)))
    return entry


async def nothing_left(connection: Broker, entry: Entry) -> None:
    """Returns when it has ended; a report on it would have been stored before."""

    async def gone() -> bool:
        return not await connection.subjects(queue_stream("default"), submission("default", entry.submission))

    await until(gone)


async def test_passed_on_to_a_server_that_offers_it(world: World) -> None:
    async with mx(world, "127.0.2.1", "asking.test") as sink, broker(world) as connection:
        sink.extensions = (*EXTENSIONS, *ASKING)
        asked = {"notify": "SUCCESS,FAILURE", "ret": "HDRS", "envid": "E+2B1", "priority": 7}
        entry = await send(
            connection, "A+b@asking.test", "me@asking.test", deliver_by=time.time() + 500, **asked
        )
        await sink.wait_for(1)
        await nothing_left(connection, entry)
        report = submission("default", report_id(entry.id))
        assert await connection.subjects(queue_stream("default"), report) == {}
        [mail] = sink.received
        offered, rcpt = mail.parameters, mail.commands[1]
    assert {"RET=HDRS", "ENVID=E+2B1", "MT-PRIORITY=6"} < set(offered)
    [by] = [parameter for parameter in offered if parameter.startswith("BY=")]
    assert 400 < int(by.removeprefix("BY=").removesuffix(";N")) <= 500
    assert rcpt == "RCPT TO:<A+b@asking.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A+2Bb@asking.test"


async def test_a_report_where_the_server_gives_none(world: World) -> None:
    async with (
        mx(world, "127.0.2.1", "silent.test") as silent,
        mx(world, "127.0.2.2", "success-writer.test") as sink,
        broker(world) as connection,
    ):
        asked = {"notify": "SUCCESS", "ret": "FULL", "orcpt": "rfc822;Who+2Bx@elsewhere.test"}
        entry = await send(connection, "a@silent.test", "me@success-writer.test", **asked)
        await sink.wait_for(1)
        await story(world, report_id(entry.id), "delivered")
        assert silent.received[0].commands[1] == "RCPT TO:<a@silent.test>"
    report = email.message_from_bytes(sink.received[0].content)
    assert report["Subject"] == "Successful Mail Delivery Report"
    _, status, header = report.get_payload()
    of_recipient = status.get_payload(1)
    assert dict(of_recipient.items()) == {
        "Original-Recipient": "rfc822; Who+x@elsewhere.test", "Final-Recipient": "rfc822; a@silent.test",
        "Action": "relayed", "Status": "2.0.0", "Remote-MTA": "dns; mx.silent.test",
        "Diagnostic-Code": "smtp; 250 Ok: taken", "Last-Attempt-Date": of_recipient["Last-Attempt-Date"],
    }  # fmt: skip
    assert header.get_content_type() == "text/rfc822-headers"


async def test_no_report_where_none_is_wanted(world: World) -> None:
    async with mx(world, "127.0.2.1", "never.test") as sink, broker(world) as connection:
        sink.rules.append(Rule(phase="rcpt", recipient="never.test", reply="550 5.1.1 No such user here"))
        for notify in ("NEVER", "SUCCESS", "DELAY"):
            entry = await send(connection, f"nobody-{notify}@never.test", "me@never.test", notify=notify)
            await story(world, entry.submission, "bounced")
            await nothing_left(connection, entry)
            report = submission("default", report_id(entry.id))
            assert await connection.subjects(queue_stream("default"), report) == {}
        assert sink.received == []
