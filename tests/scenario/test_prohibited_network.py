"""An MX host in a prohibited network is never connected to; its mail bounces and the address is named."""

import pytest
from scenario_support import mx, send, story, types

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_prohibited_network(world: World) -> None:
    async with mx(world, "127.66.0.1", "inside.test") as sink:
        [submission] = await send(world, "a@inside.test")
        rows = await story(world, submission, "bounced")
    assert types(rows) == ["accepted", "bounced"]
    assert (rows[1]["enhanced_code"], rows[1]["reason"]) == ("5.7.1", "prohibited")
    assert "mx.inside.test[127.66.0.1]" in rows[1]["text"]
    assert sink.connections == 0


async def test_other_hosts_of_the_domain_are_used(world: World) -> None:
    async with mx(world, "127.66.0.2", "both.test") as inside, mx(world, "127.0.1.3", "outside.test") as outside:
        world.dns.zone.add("both.test", "MX", "20 mx.outside.test.")
        [submission] = await send(world, "a@both.test")
        rows = await story(world, submission, "delivered")
    assert rows[1]["mx_host"] == "mx.outside.test"
    assert (inside.connections, outside.mails) == (0, 1)
