"""Fixtures that every kind of test uses."""

import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings
from support import Nats

from common.broker import Broker
from common.queue import streams
from master.sockets import free_port

# the same in every process that runs a part of the tests
os.environ.setdefault("FAULT_SEED", str(time.time_ns() % 10**6))
pytest.register_assert_rewrite("crash_support")  # it compares for several tests
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
# a busy machine is no reason for an example to fail
settings.register_profile("postjet", deadline=None)
settings.load_profile("postjet")


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """A running nats-server of its own."""
    server = Nats(tmp_path / "data", free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def broker(nats: Nats) -> AsyncIterator[Broker]:
    """A connection to it, streams made."""
    connection = nats.broker()
    await connection.connect()
    await streams.ensure_surely(connection, ["default"], 10**9)
    connection.on_connect.append(lambda: streams.ensure_surely(connection, ["default"], 10**9))
    yield connection
    await connection.close()
