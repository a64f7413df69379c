"""A site that does not answer is remembered: its mail waits without an attempt, and flows when it is back."""

from pathlib import Path

from scenario_support import mx, send, until_rows
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS = 40


async def test_site_down(tmp_path: Path) -> None:
    settings = {"delivery": {"connections": 2, "site_down": "1s", "retry_first": "1h", "retry_max": "1h"}}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", "down.test") as sink:
        down = Rule(phase="banner", reply="421 4.3.2 Out of order")
        sink.rules.append(down)
        await send(world, "a@down.test", mails=MAILS, sessions=4)
        await until(lambda: down.used >= 4)  # first two, then one after the other
        assert sink.connections == down.used < 10
        sink.rules.clear()
        # those that found it down go by their own delay, an hour here; the others need no more than the next look at it
        await sink.wait_for(MAILS - down.used, 10)
        await until_rows(
            world,
            "SELECT type, count() AS n, max(attempt) AS attempt FROM events GROUP BY type ORDER BY type",
            {"type": "accepted", "n": MAILS, "attempt": 0},
            {"type": "deferred", "n": down.used, "attempt": 1},
            {"type": "delivered", "n": MAILS - down.used, "attempt": 1},
        )
