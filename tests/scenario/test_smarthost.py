"""With a smarthost all mail goes there, whatever DNS says; nobody is asked."""

from pathlib import Path

from scenario_support import send

from master.demo.sink import Sink
from master.demo.world import World


async def test_smarthost(tmp_path: Path) -> None:
    async with Sink(hostname="smarthost.test") as smarthost:
        settings = {"delivery": {"smarthost": smarthost.address, "prohibited_networks": ["127.0.0.0/8"]}}
        async with World(tmp_path, sinks=1, settings=settings) as world:
            world.add_domain("one.test")
            await send(world, "a@one.test", "b@two.test", "c@no-such-domain.test")
            await smarthost.wait_for(3)
            recipients = sorted(mail.recipients for mail in smarthost.received)
            assert recipients == [("a@one.test",), ("b@two.test",), ("c@no-such-domain.test",)]
            assert world.sinks[0].connections == 0
            assert world.dns.questions == {}
