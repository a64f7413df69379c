"""A key file that is no key: the mail waits, unsigned it does not leave, and 'postjet check' names the file."""

import pytest
from scenario_support import mx, postjet, said_once, send_as, story

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_bad_key(world: World) -> None:
    key = world.folder / "var/dkim/badkey.test.s1.pem"
    key.write_text("this is no key\n")
    try:
        async with mx(world, "127.0.1.21", "badkey-rcpt.test") as sink:
            [submission] = await send_as(world, "news@badkey.test", "a@badkey-rcpt.test")
            rows = await story(world, submission, "deferred")
            deferred = rows[-1]
            assert (deferred["reason"], deferred["enhanced_code"]) == ("dkim", "4.7.0")
            assert str(key) in deferred["text"]
            assert sink.mails == 0
        assert str(key) in said_once(await postjet("check", config=world.config_file), 78)
    finally:
        key.unlink()
