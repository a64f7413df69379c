"""Two URLs replace the embedded servers: nothing is embedded, mail and events go their way."""

from pathlib import Path

import pytest
from clickhouse_support import ClickHouse
from scenario_support import processes, query, send, story, types
from support import PASSWORD, Nats

from master import nats_server
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_external_servers(nats: Nats, tmp_path: Path) -> None:
    clickhouse = ClickHouse(tmp_path / "clickhouse")
    clickhouse.start()
    settings = {
        "nats": {"url": f"nats://{nats_server.USER}:{PASSWORD}@127.0.0.1:{nats.port}"},
        "clickhouse": {"url": clickhouse.database_url("postjet")},
    }
    try:
        async with World(tmp_path / "world", sinks=1, settings=settings) as world:
            world.add_domain("a.test", *world.sinks)
            own = [words for words in processes(world.folder).values() if "master" not in words]
            assert own == []
            [submission] = await send(world, "r@a.test")
            assert types(await story(world, submission, "delivered")) == ["accepted", "delivered"]
            assert await query(world, "SELECT count() AS n FROM postjet.events") == [{"n": 2}]
    finally:
        clickhouse.stop()
