"""A site that does not answer is remembered: its mail waits without a connection each, and flows when it is back."""

from pathlib import Path

from scenario_support import mx, query, send, until

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS = 40


async def test_site_down(tmp_path: Path) -> None:
    settings = {"delivery": {"connections": 2, "site_down": "1s"}}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", "down.test") as sink:
        sink.rules.append(Rule(phase="banner", reply="421 4.3.2 Out of order"))
        await send(world, "a@down.test", mails=MAILS, sessions=4)
        await until(lambda: _deferred(world))
        assert 0 < sink.connections < MAILS / 2
        sink.rules.clear()
        await sink.wait_for(MAILS, 30)
        # what found the site down did not try it
        rows = await query(world, "SELECT max(attempt) AS attempt FROM events WHERE type = 'deferred' AND code = 0")
        assert rows[0]["attempt"] <= 1


async def _deferred(world: World) -> bool:
    rows = await query(world, "SELECT uniqExact(delivery) AS deliveries FROM events WHERE type = 'deferred'")
    return bool(rows and rows[0]["deliveries"] == MAILS)
