"""The role that tells webhooks is killed between its steps: each event arrives, beside a dead endpoint too."""

import os
from pathlib import Path

import pytest
from crash_support import HOOKS, PATIENCE, RECORDER, Crashes, Point, after, before
from hooks_support import SECRET, Got, receiving
from scenario_support import broker, send
from support import until

from master.demo.world import World

#: What is stored then: nothing; messages, and not that they are; the same, and it may have been sent; another try.
POINTS: dict[str, Point] = {
    "nothing stored": before(RECORDER, "events.hooks.queue:store"),
    "stored and not moved on": before(RECORDER, "events.positions:write"),
    "not sent": before(RECORDER, "events.hooks.client:Client.post"),
    "sent and not acked": after(RECORDER, "events.hooks.client:Client.post"),
    "failed and not scheduled": before(RECORDER, "events.hooks.queue:Hook.later"),
    "scheduled and not acked": after(RECORDER, "common.broker:Broker.put", "w.s.app"),
}


async def test_telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    told: set[tuple[str, str]] = set()

    def flaky(_number: int, got: Got) -> str:
        """500 to what it sees for the first time."""
        got.verify()
        known = got.id in seen
        seen.add(got.id)
        if known:
            told.add((got.payload["data"]["submission"], got.payload["type"]))
        return "200" if known else "500"

    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "functions").write_text("\n".join(sorted({point.function for point in POINTS.values()})))
    # worlds give their environment to what they start
    monkeypatch.setenv("FAULT_HOOKS", str(hooks))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HOOKS), os.environ.get("PYTHONPATH", "")]))
    same = {"secrets": [SECRET], "allow_internal": True, "timeout": "500ms"}
    async with receiving(flaky) as app, receiving(lambda _n, _got: "hang") as dead:
        endpoints = [{"name": "app", "url": app.url, **same}, {"name": "dead", "url": dead.url, **same}]
        async with World(tmp_path, sinks=1, settings={"webhooks": endpoints}) as world, broker(world) as connection:
            world.add_domain("receiver.test")
            crashes, wanted = Crashes(world, hooks, connection), set()
            for point in POINTS.values():
                crashes.arm(point)
                [submission] = await send(world, "a@receiver.test")
                await crashes.struck()
                wanted |= {(submission, "message.accepted"), (submission, "message.delivered")}
            await until(lambda: told >= wanted, PATIENCE)
    assert told == wanted
