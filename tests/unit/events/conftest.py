"""One embedded ClickHouse for all tests of events, a database of its own for each."""

from collections.abc import Iterator

import pytest
from clickhouse_support import ClickHouse

from events import schema
from events.store import Store

DAY = 86400


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A running server."""
    server = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def store(clickhouse: ClickHouse) -> Iterator[Store]:
    """An empty database with its tables."""
    store = clickhouse.store()
    # rows of a fixed day in 2026 are still there in later years
    schema.migrate(store.client, 10_000 * DAY)
    yield store
    store.close()
