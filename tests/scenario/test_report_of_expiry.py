"""Who sent mail that nobody took in time gets a report with what the last server said."""

import email
from pathlib import Path

from scenario_support import mx, send_as

from master.demo.sink_script import Rule
from master.demo.world import World


async def test_report_of_expiry(tmp_path: Path) -> None:
    async with (
        World(tmp_path, sinks=1, settings={"delivery": {"expire": "3s"}}) as world,
        mx(world, "127.0.2.1", "later.test") as later,
        mx(world, "127.0.2.2", "writer.test") as sink,
    ):
        later.rules.append(Rule(phase="rcpt", reply="451 4.7.1 Come back later"))
        await send_as(world, "writer@writer.test", "a@later.test")
        await sink.wait_for(1)
        [mail] = sink.received
        assert later.received == []
    assert (mail.sender, mail.recipients) == ("", ("writer@writer.test",))
    text, status, _ = email.message_from_bytes(mail.content).get_payload()
    assert "nobody took it" in text.get_payload()
    of_recipient = status.get_payload(1)
    assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", "4.4.7")
    assert of_recipient["Remote-MTA"] == "dns; mx.later.test"
    assert of_recipient["Diagnostic-Code"] == "smtp; 451 4.7.1 Come back later"
