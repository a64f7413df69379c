"""A recipient greylisted at first gets the mail at the next try."""

import pytest
from scenario_support import mx, queue, send, story, types

from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_greylisted(world: World) -> None:
    async with mx(world, "127.0.1.1", "grey.test") as sink:
        sink.rules.append(Rule(phase="rcpt", reply="450 4.2.0 Come back later", times=1))
        [submission] = await send(world, "a@grey.test")
        rows = await story(world, submission, "delivered")
    assert types(rows) == ["accepted", "deferred", "delivered"]
    _, deferred, delivered = rows
    assert (deferred["code"], deferred["enhanced_code"], deferred["text"]) == (450, "4.2.0", "Come back later")
    assert (deferred["attempt"], delivered["attempt"]) == (1, 2)
    assert delivered["time"] >= deferred["next_attempt"]
    assert [mail.recipients for mail in sink.received] == [("a@grey.test",)]
    assert f"{submission}-1" not in await queue(world)
