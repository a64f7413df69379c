"""A campaign is stopped wherever its mail is: on its way, parked, to be retried, sent later, yet to come."""

import asyncio
import json
from pathlib import Path

from scenario_support import broker, mx, postjet, query, queue, send, send_with
from support import until

from common.subjects import BODY_STREAM
from master.demo.sink_script import Rule
from master.demo.world import World

SPRING = "X-Postjet-Tag: web\r\nX-Postjet-Tag: spring\r\n"
LATER = "X-Postjet-Delay: 3600\r\n"


async def test_stop(tmp_path: Path) -> None:
    settings = {"delivery": {"connections": 1, "retry_first": "1h", "retry_max": "1h"}}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.3", "busy.test") as sink:
        gate = asyncio.Event()
        sink.rules.append(Rule(phase="rcpt", recipient="busy.test", wait=gate, reply="450 4.2.0 Later"))
        world.add_domain("deferred.test")
        world.sinks[0].rules.append(Rule(phase="rcpt", recipient="deferred.test", reply="450 4.2.0 Later"))
        await send_with(world, SPRING, "a@deferred.test", "b@deferred.test", mails=2)
        await until(lambda: names(world, ["deferred"] * 4))
        await send_with(world, SPRING, "a@busy.test", "b@busy.test", mails=2)
        await until(lambda: is_under_way(sink.connections))
        await send_with(world, SPRING + LATER, "c@busy.test")
        await send(world, "other@deferred.test")
        await until(lambda: names(world, ["active"] * 4 + ["deferred"] * 5 + ["scheduled"]))

        stopping = asyncio.create_task(
            postjet("stop", "--tag", "spring", "--reason", "wrong price", "--json", config=world.config_file)
        )
        # one is on its way: its worker ends it
        await until(lambda: stopped(world, 8))
        gate.set()
        said = json.loads((await stopping).stdout)
        assert (said["workers"], said["missing"], said["done"]) == (1, [], True)
        await until(lambda: names(world, ["deferred"]))
        await send_with(world, SPRING, "late@busy.test")
        await until(lambda: names(world, ["deferred"]))
        await until(lambda: stopped(world, 10))
        assert not sink.received
        rows = await query(world, "SELECT delivery, status, reason, text FROM events WHERE type = 'stopped'")
        assert len({row["delivery"] for row in rows}) == len(rows) == 10
        assert {(row["status"], row["reason"]) for row in rows} == {("undeliverable", "stopped")}
        assert all("wrong price" in row["text"] for row in rows)
        async with broker(world) as connection:
            await until(lambda: is_empty(connection))
        done = await postjet("resume", "--tag", "spring", config=world.config_file)
        assert done.returncode == 0
        assert "0 deliveries" in done.stdout
        sink.rules.clear()
        await send_with(world, SPRING, "new@busy.test")
        await sink.wait_for(1, 30)


async def names(world: World, expected: list[str]) -> bool:
    return sorted(entry["queue_name"] for entry in (await queue(world)).values()) == expected


async def is_under_way(connections: int) -> bool:
    return connections > 0


async def stopped(world: World, number: int) -> bool:
    rows = await query(world, "SELECT count() AS n FROM events WHERE type = 'stopped'")
    return bool(rows and rows[0]["n"] >= number)


async def is_empty(connection: object) -> bool:
    return not await connection.subjects(BODY_STREAM, "b.>")  # type: ignore[attr-defined]
