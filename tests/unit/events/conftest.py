"""One embedded ClickHouse for all tests of events, a database of its own for each."""

from collections.abc import Iterator

import pytest
from clickhouse_support import FOR_EVER, ClickHouse

from events import schema
from events.store import Store


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
    schema.migrate(store.client, FOR_EVER)
    yield store
    store.close()
