"""The way of events into ClickHouse."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError
from clickhouse_connect.driver.insert import InsertContext

from common.clickhouse import Database, NoTableError, NotReachableError, RefusedError, translated
from common.event import Event

__all__ = [
    "COLUMNS", "REQUIRED", "TIMES", "Columns", "NoTableError", "NotReachableError", "RefusedError", "RowsError",
    "Store", "translated",
]  # fmt: skip

#: Column to values, as many in each.
Columns = Mapping[str, Sequence[Any]]


class RowsError(RefusedError):
    """Something in these rows is refused; nothing of them is stored, and others may do better."""


#: Those of an insert that lie in a value: CANNOT_PARSE_TEXT, ARGUMENT_OUT_OF_BOUND, CANNOT_PARSE_NUMBER,
#: INCORRECT_DATA, TOO_LARGE_ARRAY_SIZE, TOO_LARGE_STRING_SIZE, ILLEGAL_DIVISION, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
#: CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, DECIMAL_OVERFLOW, VIOLATED_CONSTRAINT.
#: All others would refuse any row: no table, another type, no right, no memory, no disk.
_ROWS = {6, 69, 72, 117, 128, 131, 153, 321, 349, 395, 407, 469}
#: A view that somebody added fails after the table has the rows.
_VIEW = "while pushing to view"
#: What clickhouse-connect raises where a value does not fit its column, before anything is stored.
_UNWRITABLE = (DataError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)


@contextmanager
def _told_apart() -> Iterator[None]:
    """Errors of an insert that lie in its rows become RowsError."""
    try:
        yield
    except _UNWRITABLE as error:
        raise RowsError(f"a value that its column cannot hold: {error}") from error
    except ClickHouseError as error:
        if getattr(error, "code", None) in _ROWS and _VIEW not in str(error):
            raise RowsError(f"ClickHouse: {error}") from error
        raise


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


#: Column and what a row without it has; MISSING: every row has it.
COLUMNS: dict[str, Any] = {field.name: _default(field) for field in fields(Event)}
COLUMNS |= {"id": MISSING, "stream_sequence": MISSING, "row_number": MISSING}
#: Columns of DateTime64(3), which are written as milliseconds since 1970.
TIMES = ("time", "next_attempt")
#: What every row of a message has.
REQUIRED = ("id", "time", "type")
#: As what a value is written; the server makes LowCardinality of it, and tells what its column cannot be made of.
_TYPES = {
    **dict.fromkeys(TIMES, "DateTime64(3)"),
    **dict.fromkeys((name for name in COLUMNS if name.startswith("time_")), "Float32"),
    **dict.fromkeys(("recipients", "tags", "signatures"), "Array(String)"), "meta": "Map(String, String)",
    "priority": "UInt8", "code": "UInt16", "attempt": "UInt32", "count": "UInt32", "row_number": "UInt32",
    "size": "UInt64", "stream_sequence": "UInt64",
}  # fmt: skip
#: One block, one part in each day; the views get the same block, with a token of their own each.
_INSERT = {
    "async_insert": "0",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "max_insert_block_size": "1000000000",
    "max_partitions_per_insert_block": "0",
}
_ONE_BLOCK = 2**30
#: It is done when it returns; the ids of some thousand rows are longer than a query may be otherwise.
_CHANGE = {"mutations_sync": "2", "max_query_size": "10000000"}


class Store(Database):
    """A database of events; inserts run one at a time."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._contexts: dict[str, InsertContext] = {}

    def insert(self, table: str, columns: Columns, token: str) -> None:
        """Insert rows as one block, ``TIMES`` in seconds since 1970; a token that was inserted before inserts nothing.

        Raises RowsError (nothing is stored), NotReachableError or RefusedError (it may be).
        """
        with self._lock:
            client = self.client
            with translated(), _told_apart():
                context = self._contexts.get(table) or self._context(client, table, list(columns))
                context.settings = _INSERT | {"insert_deduplication_token": token}
                context.data = [_written(name, values) for name, values in columns.items()]
                client.insert(context=context)

    def _context(self, client: Client, table: str, names: list[str]) -> InsertContext:
        types = [_TYPES.get(name, "String") for name in names]
        context = client.create_insert_context(table, names, column_type_names=types, column_oriented=True)
        context.req_block_size = _ONE_BLOCK
        self._contexts[table] = context
        return context

    def change(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Run an ALTER that changes rows, to its end. Raises NotReachableError or RefusedError.

        ``%(name)s`` in it becomes a part of its text, ``{name:Type}`` of its URL, which may not be long.
        """
        client = self.client
        with translated():
            client.command(sql, parameters=dict(parameters), settings=_CHANGE)


def _written(name: str, values: Sequence[Any]) -> Sequence[Any]:
    return [round(value * 1000) for value in values] if name in TIMES else values
