"""``postjet queue --by`` counts what waits, and for what, for each domain, campaign and pool."""

import json
from typing import Any

import pytest
from scenario_support import postjet, send_with, story

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

TAG, LATER = "X-Postjet-Tag: by-campaign\r\n", "X-Postjet-Delay: 86400\r\n"


async def queue_by(world: World, by: str) -> dict[str, dict[str, Any]]:
    done = await postjet("queue", "--by", by, "--json", config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    return {group[by]: group for group in map(json.loads, done.stdout.splitlines())}


async def test_queue_by(world: World) -> None:
    for domain in ("by1.test", "by2.test"):
        world.dns.zone.add(domain, "MX", "10 mx.by.test.")
    world.dns.zone.add("mx.by.test", "A", "127.0.9.8")  # where nobody listens
    [failing] = await send_with(world, TAG, "a@by1.test", "b@by1.test")
    await send_with(world, TAG + LATER, "c@by1.test", "d@by2.test")
    await send_with(world, LATER, "e@by2.test")
    await story(world, failing, "deferred", 2)

    by_domain = await queue_by(world, "domain")
    one, two = by_domain["by1.test"], by_domain["by2.test"]
    assert one["ready"] + one["deferred"] == 2  # it tries again and again
    assert (one["scheduled"], one["held"], one["count"]) == (1, 0, 3)
    assert one["bytes"] > 3000
    assert 0 < one["oldest_age"] < 120
    assert (two["scheduled"], two["count"], two["oldest_age"]) == (2, 2, None)
    by_campaign = await queue_by(world, "campaign")
    assert by_campaign["by-campaign"]["count"] == 4
    assert by_campaign["by-campaign"]["scheduled"] == 2
    assert by_campaign[""]["scheduled"] >= 1
    assert (await queue_by(world, "pool"))["default"]["count"] >= 5

    done = await postjet("queue", "--by", "domain", config=world.config_file)
    header, *rows = [line.split() for line in done.stdout.splitlines()]
    assert header == ["domain", "ready", "deferred", "scheduled", "held", "all", "size", "oldest"]
    assert ["by2.test", "0", "0", "2", "0", "2"] in [row[:6] for row in rows]
    done = await postjet("queue", "--by", "domain", "--held", "--json", config=world.config_file)
    assert "by1.test" not in done.stdout
