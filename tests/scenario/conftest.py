"""The world of the scenarios that need no settings of their own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from master.demo.world import World

#: An MX host there is never to be connected to.
PROHIBITED = "127.66.0.0/16"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A running Postjet. Each scenario has domains of its own."""
    settings = {"delivery": {"prohibited_networks": [PROHIBITED]}}
    async with World(tmp_path_factory.mktemp("world"), sinks=1, settings=settings) as running:
        yield running
