"""A reply rule suspends a site: its mail waits without attempts, then flows again, and an event tells of it."""

import time
from pathlib import Path
from typing import Any

from scenario_support import mx, query, send
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS, SECONDS = 30, 4
BUSY = {
    "name": "test-busy", "text": "too many connections from you", "trigger": "2/h", "action": "suspend",
    "for": f"{SECONDS}s", "samples": "421 4.7.0 Too many connections from you",
}  # fmt: skip


async def test_reply_rule(tmp_path: Path) -> None:
    settings = {
        "pools.default": {"workers": 2},
        "delivery": {"connections": 2, "retry_first": "1h", "retry_max": "1h"},
        "replies": [BUSY],
    }
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", "busy.test") as sink:
        world.add_domain("other.test")
        # in the middle of a transaction, so that it says nothing of the site being up or down
        said = Rule(phase="rcpt", reply="421 4.7.0 Too many connections from you", times=2)
        sink.rules.append(said)
        await send(world, "a@busy.test", mails=MAILS, sessions=4)
        await until(lambda: said.used == 2)
        await send(world, "a@other.test")
        await world.sinks[0].wait_for(1)
        await sink.wait_for(MAILS - 2, 30)
        await until(lambda: _told(world))
        (told,) = await _told(world)
        # by the clocks of who suspended it and of who took the mail, however late this test is
        ends = told["time"].timestamp() + SECONDS - (time.time() - time.monotonic())
        assert sum(mail.time < ends for mail in sink.received) <= 2, "mail went on although the site is suspended"
        assert told["reason"] == "suspend"
        assert told["text"].startswith("reply rule test-busy (")
        assert "site:mx.busy.test suspended for 4s; mx.busy.test[127.0.1.1]: 421 4.7.0 Too many" in told["text"]
        rows = await query(world, "SELECT max(attempt) AS most FROM events WHERE domain = 'busy.test'")
        assert rows[0]["most"] == 1


async def _told(world: World) -> list[dict[str, Any]]:
    return await query(world, "SELECT * FROM events WHERE type = 'admin'")
