"""Mail for a domain that does not exist bounces at once."""

import pytest
from scenario_support import send, story, types

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_unknown_domain(world: World) -> None:
    [submission] = await send(world, "a@no-such-domain.test")
    rows = await story(world, submission, "bounced")
    assert types(rows) == ["accepted", "bounced"]
    assert (rows[1]["enhanced_code"], rows[1]["phase"]) == ("5.1.2", "dns")
    assert "no-such-domain.test" in rows[1]["text"]
