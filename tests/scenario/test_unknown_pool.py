"""A mail that names a pool that is not there is refused with the names of those that are."""

import pytest
from scenario_support import SENDER

from master.demo.generator import make_message, send_all
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_unknown_pool(world: World) -> None:
    message = b"X-Postjet-Pool: news\r\n" + make_message(1000, sender=SENDER, recipient="a@one.test")
    [outcome] = await send_all([(SENDER, ("a@one.test",), message)], "127.0.0.1", world.smtp_port)
    assert outcome.code == 550
    assert outcome.text == "5.6.0 X-Postjet-Pool: 'news' is no pool here; there are default"
