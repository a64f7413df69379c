"""ClickHouse, embedded or a real server: only the URL differs. Connecting, asking, and what can go wrong."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver import options
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from common.errors import ConfigError, PostjetError, UnavailableError

# It logs with a traceback what it also raises.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
# It would import pandas at the first insert, half a second and 80 MB, to see whether the rows are a frame of its.
options.pd = options.pd_time_test = options.np = None


class NotReachableError(UnavailableError, ConnectionError):
    """The database does not answer, or cannot now; the same may work later."""


class RefusedError(PostjetError):
    """The database answers and refuses this data or query; it will again."""

    exit_code = 65  # EX_DATAERR


class NoTableError(RefusedError):
    """The tables are not made yet: nothing is recorded, in the first second of an instance."""


#: ClickHouse errors that lie in the data or the query; unknown ones are worth another try.
_UNKNOWN_TABLE = 60
_REFUSED = {6, 16, 26, 27, 33, 38, 41, 43, 46, 47, 53, 60, 62, 69, 70, 72, 117, 131, 164, 349, 457}


@contextmanager
def translated() -> Iterator[None]:
    """Errors of clickhouse-connect become NotReachableError or RefusedError."""
    try:
        yield
    except ClickHouseError as error:
        code = getattr(error, "code", None)
        if code == _UNKNOWN_TABLE:
            raise NoTableError(f"ClickHouse: {error}") from error
        if code in _REFUSED:
            raise RefusedError(f"ClickHouse: {error}") from error
        cause = getattr(error.__cause__, "reason", None) or error.__cause__ or error  # urllib3's, without the URL
        raise NotReachableError(f"ClickHouse: {cause}") from error


class Database:
    """A database. Connects when first used, again after an error."""

    def __init__(self, url: str) -> None:
        """``http(s)://user:password@host:port/database``; the database is made if it is not there."""
        self._url = urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ConfigError("clickhouse.url: write http(s)://user:password@host:8123/database")
        self._client: Client | None = None
        self._lock = threading.RLock()

    @property
    def client(self) -> Client:
        """The connected client. Raises NotReachableError."""
        with self._lock, translated():
            self._client = self._client or self._connect()
            return self._client

    def _connect(self) -> Client:
        url, database = self._url, self._url.path.strip("/") or "default"
        client = clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port or 0,
            interface=url.scheme,
            username=unquote(url.username or "default"),
            password=unquote(url.password or ""),
            autogenerate_session_id=False,  # sessions forbid queries at the same time
        )
        if not client.command("SELECT count() FROM system.databases WHERE name = {d:String}", {"d": database}):
            client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}")  # needs more rights
        client.database = database
        return client

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows as maps; times are aware of UTC. Raises NotReachableError or RefusedError."""
        client = self.client
        with translated():
            result = client.query(sql, parameters=dict(parameters), tz_mode="aware")
            return list(result.named_results())

    def close(self) -> None:
        """Give the connections back."""
        if self._client:
            self._client.close()
