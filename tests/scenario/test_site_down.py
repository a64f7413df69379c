"""A site that does not answer is remembered: its mail waits without a connection each, and flows when it is back."""

from pathlib import Path

from scenario_support import mx, query, send
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS = 40


async def test_site_down(tmp_path: Path) -> None:
    settings = {"delivery": {"connections": 2, "site_down": "1s", "retry_max": "1s"}}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", "down.test") as sink:
        down = Rule(phase="banner", reply="421 4.3.2 Out of order")
        sink.rules.append(down)
        await send(world, "a@down.test", mails=MAILS, sessions=4)
        await until(lambda: _all_deferred(world))
        assert 0 < sink.connections < MAILS / 2
        sink.rules.clear()
        await sink.wait_for(MAILS, 30)
        # waiting for the site was no try
        await until(lambda: _tries(world, MAILS + down.used))


async def _all_deferred(world: World) -> bool:
    rows = await query(world, "SELECT uniqExact(delivery) AS deliveries FROM events WHERE type = 'deferred'")
    return bool(rows and rows[0]["deliveries"] == MAILS)


async def _tries(world: World, number: int) -> bool:
    sql = "SELECT sum(last) AS tries FROM (SELECT max(attempt) AS last FROM events GROUP BY delivery)"
    return bool((await query(world, sql))[0]["tries"] == number)
