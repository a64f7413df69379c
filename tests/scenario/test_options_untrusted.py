"""Options of clients that are not trusted, or on a listener without options, are removed and change nothing."""

from pathlib import Path

import pytest
from scenario_support import mx, send_with, story, types

from master.demo.world import HOSTNAME, World

OPTIONS = "X-Postjet-Priority: 9\r\nX-Postjet-Delay: 86400\r\nX-Postjet-Pool: fast\r\nX-Postjet-Priority: urgent\r\n"


@pytest.mark.parametrize(
    "listener", [{"networks": ["192.0.2.0/24"]}, {"options": False}], ids=["not trusted", "no options"]
)
async def test_options_untrusted(tmp_path: Path, listener: dict[str, object]) -> None:
    settings = {"": {"postmaster": "pm@inside.test"}, "listener": listener}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.1", "inside.test") as sink:
        [submission] = await send_with(world, OPTIONS, f"postmaster@{HOSTNAME}")
        await sink.wait_for(1)
        rows = await story(world, submission, "delivered")
    assert types(rows) == ["accepted", "delivered"]
    assert {row["priority"] for row in rows} == {4}
    assert rows[0]["next_attempt"].timestamp() == 0
    assert b"x-postjet" not in sink.received[0].content.lower()
