"""A recipient refused for good is not tried again: the bounce is told, the queue is free of it."""

import json

import pytest
from scenario_support import mx, postjet, queue, send, story, types

from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_refused(world: World) -> None:
    async with mx(world, "127.0.1.2", "strict.test") as sink:
        sink.rules.append(Rule(phase="rcpt", recipient="nobody@strict.test", reply="550 5.1.1 No such user"))
        [submission] = await send(world, "nobody@strict.test", "somebody@strict.test")
        rows = await story(world, submission, "bounced")
        await sink.wait_for(1)
    [bounced] = [row for row in rows if row["type"] == "bounced"]
    assert "deferred" not in types(rows)
    assert bounced["delivery"] == f"{submission}-1"
    assert (bounced["status"], bounced["phase"], bounced["reason"]) == ("undeliverable", "rcpt", "rejected")
    assert (bounced["code"], bounced["enhanced_code"], bounced["text"]) == (550, "5.1.1", "No such user")
    assert (bounced["bounce_class"], bounced["bounce_type"]) == ("invalid-recipient", "hard")
    assert (bounced["mx_host"], bounced["mx_address"]) == ("mx.strict.test", "127.0.1.2")
    assert [mail.recipients for mail in sink.received] == [("somebody@strict.test",)]
    assert f"{submission}-1" not in await queue(world)


async def test_words_that_no_rule_knows_are_listed(world: World) -> None:
    async with mx(world, "127.0.1.3", "odd.test") as sink:
        sink.rules.append(Rule(phase="rcpt", recipient="nobody@odd.test", reply="550 Gloop for <user1234567@odd.test>"))
        [submission] = await send(world, "nobody@odd.test")
        await story(world, submission, "bounced")
    listed = await postjet("classify", "--unknown", "--json", config=world.config_file)
    assert listed.returncode == 0, listed.stderr
    [found] = [row for row in json.loads(listed.stdout) if row["words"] == "gloop for <@>"]
    assert (found["seen"], found["code"], found["phase"]) == (1, 550, "rcpt")
