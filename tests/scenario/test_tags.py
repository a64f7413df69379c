"""Tags and meta of a mail, given in its header, stand in every event of it and leave with nobody."""

import json
from typing import Any

import pytest
from scenario_support import mx, postjet, send_with, story

from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPTIONS = "X-Postjet-Tag: spring\r\nX-Postjet-Tag: red shoes\r\nX-Postjet-Meta-Customer: 4711\r\n"


async def events(world: World, where: str) -> list[dict[str, Any]]:
    done = await postjet("events", "--json", "--where", where, config=world.config_file)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_tags(world: World) -> None:
    async with mx(world, "127.0.1.1", "tagged.test") as sink:
        sink.rules += [
            Rule(phase="rcpt", recipient="later@tagged.test", reply="450 4.2.0 Come back later", times=1),
            Rule(phase="rcpt", recipient="nobody@tagged.test", reply="550 5.1.1 No such user"),
        ]
        [tagged] = await send_with(world, OPTIONS, "later@tagged.test", "nobody@tagged.test")
        [other] = await send_with(world, "X-Postjet-Tag: autumn\r\n", "plain@tagged.test")
        for submission, last in ((tagged, "bounced"), (tagged, "delivered"), (other, "delivered")):
            await story(world, submission, last)
        found = await events(world, "campaign=spring")
        assert found == await events(world, "tag=red shoes")
    assert {event["submission"] for event in found} == {tagged}
    assert sorted(event["type"] for event in found) == ["accepted", "bounced", "deferred", "delivered"]
    for event in found:
        assert (event["campaign"], event["tags"]) == ("spring", ["spring", "red shoes"])
        assert event["meta"] == {"customer": "4711"}
    assert all(b"x-postjet" not in mail.content.lower() for mail in sink.received)
