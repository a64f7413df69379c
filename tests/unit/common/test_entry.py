import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content import BodyRef
from common.entry import Entry, UnreadableError

refs = st.builds(BodyRef, st.integers(0, 2**40), st.integers(0, 50), st.binary(min_size=16, max_size=16))
entries = st.builds(
    Entry,
    submission=st.text(min_size=1), number=st.integers(1, 1000), sender=st.text(), recipient=st.text(),
    domain=st.text(), accepted=st.floats(0, 4e9), expires=st.floats(0, 4e9), size=st.integers(0, 2**40),
    content=st.none() | st.binary() | refs, priority=st.integers(0, 9),
    tags=st.lists(st.text(), max_size=3).map(tuple), meta=st.dictionaries(st.text(), st.text(), max_size=3),
    eightbit=st.booleans(), attempts=st.integers(0, 100), last_reply=st.text(),
)  # fmt: skip


@given(entries)
def test_what_is_packed_is_read_back(entry: Entry) -> None:
    assert Entry.unpack(entry.pack()) == entry


@given(st.binary() | entries.map(lambda entry: entry.pack()[:-1]))
def test_other_bytes_are_unreadable_and_nothing_else(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        Entry.unpack(data)


@given(entries)
def test_a_later_schema_is_refused_by_its_number(entry: Entry) -> None:
    values = msgpack.unpackb(entry.pack())
    with pytest.raises(UnreadableError, match="version 2"):
        Entry.unpack(msgpack.packb(values | {"v": 2}))


@given(entries)
def test_a_field_of_a_later_writer_is_ignored(entry: Entry) -> None:
    values = msgpack.unpackb(entry.pack())
    assert Entry.unpack(msgpack.packb(values | {"hue": "blue"})) == entry
