"""Of a mail to twenty of whom three are refused its sender gets three reports, each with the whole mail."""

import email
import re

import pytest
from scenario_support import mx, send_as

from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECIPIENTS = [f"r{number}@many{number % 2}.test" for number in range(20)]
REFUSED = {"r3@many1.test", "r8@many0.test", "r19@many1.test"}


async def test_report_for_each_refused(world: World) -> None:
    async with (
        mx(world, "127.0.2.1", "many0.test", "many1.test") as many,
        mx(world, "127.0.2.2", "many-writer.test") as sink,
    ):
        many.rules += [Rule(phase="rcpt", recipient=one, reply="550 5.1.1 Unknown") for one in REFUSED]
        [submission] = await send_as(world, "writer@many-writer.test", *RECIPIENTS)
        await many.wait_for(17)
        await sink.wait_for(3)
    told = set()
    for mail in sink.received:
        _, status, original = email.message_from_bytes(mail.content).get_payload()
        told.add(status.get_payload(1)["Final-Recipient"].removeprefix("rfc822; "))
        assert re.search(rf"with ESMTP id {submission};", original.get_payload(0)["Received"])
        assert original.get_payload(0).get_payload()
    assert told == REFUSED
    assert {mail.recipients[0] for mail in many.received} == set(RECIPIENTS) - REFUSED
