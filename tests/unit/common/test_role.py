"""What a role's process does about a broker that is not there."""

import asyncio
import gc
from pathlib import Path
from urllib.parse import quote

import pytest
from support import PASSWORD, Nats

from common import role
from common.config import ClickHouse, Config
from common.config import Nats as Broker
from common.errors import UnavailableError
from common.role import Role
from master import nats_server
from master.sockets import free_port


def test_a_broker_that_goes_while_a_role_begins(tmp_path: Path) -> None:
    """It ends with a message, and its parent tries again."""
    nats = Nats(tmp_path, free_port())
    nats.start()
    url = nats.url.replace("//", f"//{nats_server.USER}:{quote(PASSWORD)}@")
    config = Config(data_dir=str(tmp_path), nats=Broker(url=url, max_store=10**9), clickhouse=ClickHouse(url="http://127.0.0.1:1/x"))
    threshold = gc.get_threshold()

    async def main(role_: Role) -> None:
        nats.kill()
        await role_.broker.api("INFO")

    try:
        with pytest.raises(UnavailableError, match=r"^the broker nats://\*\*\*@127.0.0.1:\d+ does not answer: "):
            asyncio.run(role._run("outbound", main, config, {}))
    finally:
        nats.kill()
        gc.unfreeze()
        gc.set_threshold(*threshold)
