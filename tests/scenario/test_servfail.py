"""A domain that DNS cannot answer for now is no reason to bounce its mail."""

import pytest
from scenario_support import queue, send, story, types

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_servfail(world: World) -> None:
    world.dns.misbehave("broken.test", "SERVFAIL")
    [submission] = await send(world, "a@broken.test")
    rows = await story(world, submission, "deferred", count=2)
    assert set(types(rows)) == {"accepted", "deferred"}
    assert (rows[1]["enhanced_code"], rows[1]["phase"], rows[1]["reason"]) == ("4.4.3", "dns", "dns")
    entry = (await queue(world))[f"{submission}-1"]
    assert "DNS failed for broken.test" in entry["recipients"][0]["delay_reason"]
