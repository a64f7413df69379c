"""Who sent mail to a recipient that was refused gets a report, and can see in the trace what became of it."""

import asyncio
import email

import dkim
import pytest
from scenario_support import mx, postjet, send_as, story, types

from common.ids import report_id
from master.demo.sink_script import Rule
from master.demo.world import HOSTNAME, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_report_of_a_refusal(world: World) -> None:
    async with mx(world, "127.0.2.1", "refusing.test") as refusing, mx(world, "127.0.2.2", "writer.test") as sink:
        refusing.rules.append(Rule(phase="rcpt", reply="550 5.1.1 No such user here"))
        [submission] = await send_as(world, "writer@writer.test", "nobody@refusing.test")
        await sink.wait_for(1)
        [mail] = sink.received
    delivery = f"{submission}-1"
    report = report_id(delivery)
    assert (mail.sender, mail.recipients) == ("", ("writer@writer.test",))
    assert await asyncio.to_thread(dkim.verify, mail.content, dnsfunc=world.look_up_txt)
    message = email.message_from_bytes(mail.content)
    assert (message.get_content_type(), message["To"]) == ("multipart/report", "<writer@writer.test>")
    text, status, original = message.get_payload()
    assert "550 5.1.1 No such user here" in text.get_payload()
    of_message, of_recipient = status.get_payload()
    assert of_message["Reporting-MTA"] == f"dns; {HOSTNAME}"
    assert dict(of_recipient.items()) == {
        "Final-Recipient": "rfc822; nobody@refusing.test", "Action": "failed", "Status": "5.1.1",
        "Remote-MTA": "dns; mx.refusing.test", "Diagnostic-Code": "smtp; 550 5.1.1 No such user here",
        "Last-Attempt-Date": of_recipient["Last-Attempt-Date"],
    }  # fmt: skip
    assert original.get_content_type() == "message/rfc822"
    assert original.get_payload(0)["To"] == "<nobody@refusing.test>"

    rows = await story(world, report, "delivered")
    assert types(rows) == ["accepted", "delivered"]
    assert {(row["interface"], row["meta"]["report_of"], row["sender"]) for row in rows} == {("report", delivery, "")}
    told = (await postjet("trace", delivery, config=world.config_file)).stdout
    assert f"{report}  from <>" in told
    assert f"report on {delivery}" in told
