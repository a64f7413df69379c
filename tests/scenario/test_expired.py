"""Mail that no server takes is deferred until it expires."""

from pathlib import Path

from scenario_support import queue, send, story, types

from master.demo.world import World


async def test_expired(tmp_path: Path) -> None:
    settings = {"delivery": {"expire": "3s", "site_down": "1s"}}
    async with World(tmp_path, sinks=1, settings=settings) as world:
        world.dns.zone.add("mx.silent.test", "A", "127.0.1.250")
        world.dns.zone.add("silent.test", "MX", "10 mx.silent.test.")
        [submission] = await send(world, "a@silent.test")
        rows = await story(world, submission, "expired")
        assert await queue(world) == {}
    accepted, *deferred, expired = rows
    assert accepted["type"] == "accepted"
    assert set(types(deferred)) == {"deferred"}
    assert {(row["enhanced_code"], row["phase"]) for row in deferred} == {("4.4.1", "connect")}
    assert (expired["status"], expired["enhanced_code"]) == ("undeliverable", "4.4.7")
    assert "127.0.1.250" in expired["text"]  # what the last try ended with
    assert (expired["time"] - accepted["time"]).total_seconds() >= 3
