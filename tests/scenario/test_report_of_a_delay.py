"""Who asked to be told of delays gets one report, while the mail is tried on."""

import email
import time

import pytest
from queue_support import submit
from scenario_support import broker, mx, postjet, story
from support import make_entry

from common.content import store
from common.ids import report_id
from master.demo.generator import make_message
from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRITER = "writer@delay-writer.test"


async def test_report_of_a_delay(world: World) -> None:
    async with (
        mx(world, "127.0.2.1", "slow.test") as slow,
        mx(world, "127.0.2.2", "delay-writer.test") as sink,
        broker(world) as connection,
    ):
        slow.rules.append(Rule(phase="rcpt", reply="451 4.7.1 Come back later"))
        now = time.time()
        times = {"accepted": now - 4 * 3600 + 2, "expires": now + 600}
        entry = make_entry("a@slow.test", sender=WRITER, notify="DELAY", envid="QQ+2B1", **times)
        await submit(connection, entry, content=store(make_message(1000, recipient=entry.recipient)))
        await sink.wait_for(1)
        report = email.message_from_bytes(sink.received[0].content)
        await story(world, report_id(entry.id, "delay"), "delivered")
        slow.rules.clear()
        rows = await story(world, entry.submission, "delivered")
        assert len(sink.received) == 1
    assert (sink.received[0].sender, sink.received[0].recipients) == ("", (WRITER,))
    text, status, header = report.get_payload()
    assert "You need not send it again" in text.get_payload()
    of_message, of_recipient = status.get_payload()
    assert of_message["Original-Envelope-Id"] == "QQ+1"
    assert (of_recipient["Action"], of_recipient["Status"][:2]) == ("delayed", "4.")
    was_tried = rows[1]["reason"] != "delayed"  # on a slow machine it is time for the report before the first try
    assert of_recipient["Diagnostic-Code"] == ("smtp; 451 4.7.1 Come back later" if was_tried else None)
    assert of_recipient["Will-Retry-Until"] == email.utils.formatdate(entry.expires, localtime=True)
    assert header.get_content_type() == "text/rfc822-headers"
    tries = [row["attempt"] for row in rows if row["reason"] != "delayed" and row["attempt"]]
    assert tries == list(range(1, len(tries) + 1))
    told = (await postjet("trace", entry.id, config=world.config_file)).stdout
    assert f"report on {entry.id}" in told
