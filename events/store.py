"""The way into ClickHouse and out of it: embedded or a real server, only the URL differs."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError
from clickhouse_connect.driver.insert import InsertContext

from common.errors import ConfigError, PostjetError, UnavailableError
from common.event import Event

Row = Mapping[str, Any]

# It logs with a traceback what it also raises.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)


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
        if getattr(error, "code", None) == _UNKNOWN_TABLE:
            raise NoTableError(f"ClickHouse: {error}") from error
        if getattr(error, "code", None) in _REFUSED or isinstance(error, DataError):
            raise RefusedError(f"ClickHouse: {error}") from error
        cause = getattr(error.__cause__, "reason", None) or error.__cause__ or error  # urllib3's, without the URL
        raise NotReachableError(f"ClickHouse: {cause}") from error
    except (TypeError, ValueError) as error:  # a value that its column cannot hold
        raise RefusedError(f"ClickHouse: {error}") from error


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


#: Column and what a row without it has; MISSING: every row has it.
COLUMNS: dict[str, Any] = {field.name: _default(field) for field in fields(Event)}
COLUMNS |= {"id": MISSING, "stream_sequence": MISSING, "row_number": MISSING}
#: Columns of DateTime64(3), which are written as milliseconds since 1970.
TIMES = ("time", "next_attempt")


class Store:
    """A database of events. Connects when first used, again after an error; inserts run one at a time."""

    def __init__(self, url: str) -> None:
        """``http(s)://user:password@host:port/database``; the database is made if it is not there."""
        self._url = urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ConfigError("clickhouse.url: write http(s)://user:password@host:8123/database")
        self._client: Client | None = None
        self._insert: InsertContext | None = None
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

    def insert(self, rows: Sequence[Row], token: str) -> None:
        """Insert maps of column to value; a token that was inserted before inserts nothing.

        Names that are no columns are left out, so that older recorders serve newer writers.
        Raises NotReachableError or RefusedError.
        """
        with self._lock:
            client = self.client
            with translated():
                if self._insert is None:
                    self._insert = client.create_insert_context("events", list(COLUMNS), column_oriented=True)
                context = self._insert
                context.settings = {"insert_deduplication_token": token, "async_insert": "0"}
                context.data = _columns(rows)
                client.insert(context=context)

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


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    columns = []
    for name, default in COLUMNS.items():
        column = _required(name, rows) if default is MISSING else [row.get(name, default) for row in rows]
        columns.append([round(value * 1000) for value in column] if name in TIMES else column)
    return columns


def _required(name: str, rows: Sequence[Row]) -> list[Any]:
    try:
        return [row[name] for row in rows]
    except KeyError:
        raise RefusedError(f"a row without {name}") from None
