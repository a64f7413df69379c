"""A pool is taken out of the configuration while mail lies in it: that is told, the mail stays and goes later."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from scenario_support import mx, postjet, queue, send_with, story, types
from support import until

from master.demo.world import World


async def left_behind(world: World) -> list[str]:
    """What /readyz says of pools once it is ready."""
    await until(lambda: _is_ready(world))
    said: dict[str, Any] = await asyncio.to_thread(_readyz, world.instance["api"])
    return [line for line in said["degraded"] if line.startswith("pool")]


async def _is_ready(world: World) -> bool:
    return bool((await asyncio.to_thread(_readyz, world.instance["api"])).get("status") == "ready")


def _readyz(api: str) -> Any:
    try:
        return json.load(urllib.request.urlopen(f"http://{api}/readyz"))
    except urllib.error.HTTPError as error:
        return json.load(error)


async def test_pool_removed(tmp_path: Path) -> None:
    settings: dict[str, dict[str, Any]] = {"pools.bulk": {}, "delivery": {"retry_first": "10s", "retry_max": "10s"}}
    async with World(tmp_path, sinks=1, settings=settings) as world:
        world.dns.zone.add("away.test", "MX", "10 gone.away.test.")
        world.dns.zone.add("gone.away.test", "A", "127.0.9.9")
        [submission] = await send_with(world, "X-Postjet-Pool: bulk\r\n", "a@away.test")
        assert {row["pool"] for row in await story(world, submission, "deferred")} == {"bulk"}
        assert await left_behind(world) == []
        await world.down()

        del settings["pools.bulk"]
        world.write_config()
        await world.up()
        await until(lambda: "put [pools.bulk] back" in world.log_file.read_text())
        assert await left_behind(world) == ["pool bulk: 1 deliveries wait, but it is not in the configuration"]
        assert (await queue(world))[f"{submission}-1"]["pool"] == "bulk"
        shown = await postjet("show", submission, config=world.config_file)
        assert "a@away.test" in shown.stdout
        await world.down()

        settings["pools.bulk"] = {}
        world.write_config()
        async with mx(world, "127.0.9.9", "found.test") as sink:
            await world.up()
            await sink.wait_for(1, 30)
            rows = await story(world, submission, "delivered")
        assert {row["pool"] for row in rows} == {"bulk"}
        assert types(rows)[-1] == "delivered"
        assert world.log_file.read_text().count("put [pools.bulk] back") == 1
        assert await left_behind(world) == []

