"""Messages become columns; what cannot be read is told, and no bytes break it."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.event import Event, Type, pack, pack_columns, unpack
from events.batch import Batch, Piece, single_rows
from events.store import COLUMNS

NOW = "2026-11-22T00:00:00.5Z"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)
columns = st.dictionaries(st.sampled_from(["id", "time", "type", "code", "other"]), values)


def piece(body: bytes, sequence: int = 7) -> Piece:
    return Piece(sequence, NOW, body)


def test_columns_of_several_messages() -> None:
    one = [Event(time=1, type=Type.HELD, code=code) for code in (0, 250)]
    two = [Event(time=2, type=Type.DELIVERED, mx_host="mx")]
    batch = Batch([piece(pack(one), 7), piece(pack(two), 9), piece(pack([]), 10)])
    assert (batch.rows, batch.aside) == (3, [])
    assert list(batch.columns) == list(COLUMNS)
    assert batch.columns["code"] == [0, 250, 0]
    assert (batch.columns["mx_host"], batch.columns["count"]) == (["", "", "mx"], [1, 1, 1])
    assert batch.columns["stream_sequence"] == [7, 7, 9]
    assert batch.columns["row_number"] == [0, 1, 0]


def test_names_that_are_no_columns_are_left_out() -> None:
    batch = Batch([piece(pack_columns(1, {"id": ["i"], "time": [1], "type": ["held"], "later": [1]}))])
    assert (batch.rows, "later" in batch.columns) == (1, False)


@given(st.binary() | st.builds(lambda rows, map_: msgpack.packb({"v": 2, "rows": rows, "columns": map_}),
                               st.integers(-1, 3), columns))  # fmt: skip
def test_whatever_comes_is_taken_or_set_aside(body: bytes) -> None:
    batch = Batch([piece(body)])
    assert {len(column) for column in batch.columns.values()} == {batch.rows}
    assert [one.body for one, _ in batch.aside] in ([], [body])
    assert not (batch.rows and batch.aside)


@pytest.mark.parametrize(
    "message",
    [{"v": 1, "rows": []}, {"v": 2}, {"v": 2, "rows": 2, "columns": {"id": ["x"]}}, {"v": 2, "rows": 1, "columns": []}],
)
def test_reasons(message: dict[str, Any]) -> None:
    [(_, reason)] = Batch([piece(msgpack.packb(message))]).aside
    assert reason.startswith("events message")


def test_single_rows_are_messages_of_their_own() -> None:
    events = [Event(time=1, type=Type.HELD, code=code) for code in (0, 250)]
    whole = piece(pack(events))
    singles = list(single_rows(whole))
    assert [row for one in singles for row in unpack(one.body)] == unpack(whole.body)
    assert Batch(singles).columns == Batch([whole]).columns
    assert list(single_rows(piece(b"x"))) == [piece(b"x")]
