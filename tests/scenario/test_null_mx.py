"""Mail for a domain that says it takes none (RFC 7505) bounces at once."""

import pytest
from scenario_support import send, story, types

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_null_mx(world: World) -> None:
    world.dns.zone.add("no-mail.test", "MX", "0 .")
    world.dns.zone.add("no-mail.test", "A", world.sinks[0].host)  # RFC 7505 4.1: not to be used
    [submission] = await send(world, "a@no-mail.test")
    rows = await story(world, submission, "bounced")
    assert types(rows) == ["accepted", "bounced"]
    assert (rows[1]["code"], rows[1]["enhanced_code"], rows[1]["reason"]) == (556, "5.1.10", "null_mx")
    assert world.dns.questions["no-mail.test", "A"] == 0
