"""A worker at work."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from worker_support import Working, start

from common.broker import Broker


@pytest.fixture
async def working(broker: Broker, tmp_path: Path) -> AsyncIterator[Working]:
    working = await start(broker, tmp_path)
    yield working
    await working.close()

