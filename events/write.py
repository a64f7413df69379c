"""A range of EVENTS into the tables, rows into ``events`` and the rest into ``events_set_aside``; it blocks.

Each insert has a token made of the range's own, so that a range may be written again.
"""

import time
from collections import Counter
from collections.abc import Sequence

import structlog

from common import metrics
from common.counting import count, took
from common.errors import PostjetError
from events.batch import Batch, Piece, aside_columns, single_rows
from events.conceal import Concealer
from events.store import RefusedError, RowsError, Store

log = structlog.get_logger()


def write(
    store: Store, stream: str, pieces: Sequence[Piece], token: str, conceal: Concealer | None = None
) -> None:
    """Write messages together. Raises RowsError (nothing is stored), NotReachableError, RefusedError."""
    batch = Batch(pieces, conceal)
    if batch.rows:
        _insert(store, batch, token)
    _set_aside(store, stream, batch.aside, token, conceal)


def write_by_row(
    store: Store, stream: str, pieces: Sequence[Piece], token: str, conceal: Concealer | None = None
) -> None:
    """Write each row by itself, and set aside what is refused. Raises NotReachableError, RefusedError."""
    aside: list[tuple[Piece, str]] = []
    for row in (row for piece in pieces for row in single_rows(piece)):
        batch = Batch([row], conceal)
        aside += batch.aside
        try:
            if batch.rows:
                _insert(store, batch, f"{token}.{row.row_number}")
        except RowsError as error:
            aside.append((row, str(error)))
    _set_aside(store, stream, aside, token, conceal)


def _insert(store: Store, batch: Batch, token: str) -> None:
    started = time.monotonic()
    try:
        store.insert("events", batch.columns, token)
    except PostjetError:
        took(metrics.EVENTS_INSERT_SECONDS, time.monotonic() - started, "failed")
        raise
    took(metrics.EVENTS_INSERT_SECONDS, time.monotonic() - started, "inserted")
    for type_, rows in Counter(batch.columns["type"]).items():
        count(metrics.EVENTS_RECORDED, type_, by=rows)


def _set_aside(
    store: Store, stream: str, aside: Sequence[tuple[Piece, str]], token: str, conceal: Concealer | None
) -> None:
    if not aside:
        return
    try:
        store.insert("events_set_aside", aside_columns(stream, aside, conceal), token)
    except RowsError as error:  # to be waited out: rows of the range are stored already
        raise RefusedError(f"events_set_aside: {error}") from error
    (first, reason), more = aside[0], len(aside) - 1
    log.error(
        "recorder: message %s of EVENTS, row %s%s, set aside: %s; postjet events --set-aside lists them",
        first.sequence, first.row_number, f" and {more} more" if more else "", reason,
    )  # fmt: skip
