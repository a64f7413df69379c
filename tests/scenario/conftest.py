"""The world of the scenarios that need no settings of their own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from clickhouse_support import READER_PASSWORD
from scenario_support import sign_for

from master.demo.world import HOSTNAME, World
from master.sockets import free_port

#: An MX host there is never to be connected to.
PROHIBITED = "127.66.0.0/16"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A running Postjet. Each scenario has domains of its own."""
    settings = {
        "delivery": {"prohibited_networks": [PROHIBITED]},
        "clickhouse": {"bind": f"127.0.0.1:{free_port()}", "reader_password": READER_PASSWORD},
    }
    running = World(tmp_path_factory.mktemp("world"), sinks=1, settings=settings)
    try:
        await running.open()
        sign_for(running, HOSTNAME)  # before any report asks for it: that there is none is remembered for a minute
        await running.up()
        yield running
    finally:
        await running.close()
