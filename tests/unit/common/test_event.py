import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.event import Event, Status, Type, pack, unpack

events = st.builds(
    Event,
    time=st.floats(0, 4e9), type=st.sampled_from(Type), status=st.sampled_from(Status), text=st.text(),
    recipients=st.lists(st.text(), max_size=3).map(tuple), meta=st.dictionaries(st.text(), st.text(), max_size=2),
    code=st.integers(0, 999), time_queue=st.floats(0, 1e6),
)  # fmt: skip


@given(st.lists(events, max_size=5))
def test_rows_travel_without_their_defaults(rows: list[Event]) -> None:
    found = unpack(pack(rows))
    assert [row["id"] for row in found] == [row.id for row in rows]
    for map_, row in zip(found, rows, strict=True):
        assert all(list(getattr(row, k)) == v if isinstance(v, list) else getattr(row, k) == v for k, v in map_.items())
        assert ("text" in map_) == any(row.text for row in rows)


@given(st.binary())
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="events message"):
        unpack(data)
