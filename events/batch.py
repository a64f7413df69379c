"""Messages of EVENTS as columns for ClickHouse, and what of them is set aside. No I/O.

What a message gives depends on the message alone, so a range that is repeated after a crash gives the same again.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from common import event
from common.broker import Stored
from events.conceal import Concealer
from events.store import COLUMNS, REQUIRED


class Piece(NamedTuple):
    """A message of EVENTS, or one row of it as a message of its own."""

    sequence: int
    time: str
    """When the broker stored it, RFC 3339."""
    body: bytes
    row_number: int = 0
    """Of its first row."""
    identifier: str = ""
    """The first row's id, as who sent the message named it; ``""`` where it did not."""


def piece(stored: Stored) -> Piece:
    """A message as it lies in the stream."""
    return Piece(stored.sequence, stored.time, stored.body, identifier=stored.headers.get("Nats-Msg-Id", ""))


def single_rows(of: Piece) -> Iterator[Piece]:
    """The rows of a message one by one; a message that cannot be read as it is."""
    try:
        rows, columns = event.unpack_columns(of.body)
    except ValueError:
        yield of
        return
    for i in range(rows):
        body = event.pack_columns(1, {name: [values[i]] for name, values in columns.items()})
        yield of._replace(body=body, row_number=i)


class Batch:
    """The columns of ``events`` from messages in their order; what cannot be read is in ``aside``."""

    def __init__(self, pieces: Sequence[Piece], conceal: Concealer | None = None) -> None:
        """``conceal`` hashes the recipients."""
        self.rows, self._conceal = 0, conceal
        self.columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self.aside: list[tuple[Piece, str]] = []
        """With the reason."""
        for one in pieces:
            try:
                self._add(one)
            except ValueError as error:
                self.aside.append((one, str(error)))
        for name, column in self.columns.items():
            self._fill(name, column)

    def _add(self, one: Piece) -> None:
        rows, columns = event.unpack_columns(one.body)
        for name in REQUIRED:
            if rows and name not in columns:
                raise ValueError(f"events message whose rows have no {name}")
        if self._conceal:
            self._conceal.columns(columns)
        columns["stream_sequence"] = [one.sequence] * rows
        columns["row_number"] = [*range(one.row_number, one.row_number + rows)]
        for name, values in columns.items():
            if (column := self.columns.get(name)) is not None:
                self._fill(name, column)
                column += values
        self.rows += rows

    def _fill(self, name: str, column: list[Any]) -> None:
        """Rows until now that had no such column have the default."""
        if missing := self.rows - len(column):
            column += [COLUMNS[name]] * missing


def aside_columns(
    stream: str, aside: Sequence[tuple[Piece, str]], conceal: Concealer | None = None
) -> dict[str, list[Any]]:
    """The columns of ``events_set_aside``. ``stream``: when the stream was created."""
    return {
        "time": [datetime.fromisoformat(one.time).timestamp() for one, _ in aside],
        "stream": [stream] * len(aside),
        "stream_sequence": [one.sequence for one, _ in aside],
        "row_number": [one.row_number for one, _ in aside],
        "reason": [conceal.text(reason) if conceal else reason for _, reason in aside],
        "message": [conceal.message(one.body) if conceal else one.body for one, _ in aside],
    }
