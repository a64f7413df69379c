import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd_ingress.headers import Field, HeaderReader

LINES = st.lists(
    st.sampled_from([b"A: b", b"Bcc : c", b" fold", b"\tfold", b"text", b"", b" ", b"X:", b":", b"\xff: y", b"a\0b:"]),
    max_size=12,
)
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r"])


def read(data: bytes, size: int = 2**16) -> tuple[list[Field], bytes, bool]:
    reader = HeaderReader()
    position = 0
    while not reader.done and position < len(data):
        reader.feed(data[position : position + size])
        position += size
    fields, rest = reader.split()
    return fields, rest + data[position:], reader.done


@given(LINES, ENDS, st.integers(1, 9))
def test_nothing_is_lost_and_pieces_make_no_difference(lines: list[bytes], end: bytes, size: int) -> None:
    data = end.join([*lines, b""]) + b"\r\n"
    fields, rest, done = read(data, size)
    assert b"".join(field.raw for field in fields) + rest == data
    assert (fields, rest, done) == read(data)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_section_ends_at_the_empty_line(end: bytes) -> None:
    fields, rest, done = read(end.join([b"Subject: a", b" b", b"Bcc: c", b"", b"Body: no field", b""]) + b"\r\n")
    assert [(field.name, field.value) for field in fields] == [("subject", "a b"), ("bcc", "c")]
    assert rest.startswith(end + b"Body: no field")
    assert done


@pytest.mark.parametrize("body", [b"no field\r\n", b" folded onto nothing\r\n", b"From x@y Mon\r\n", b"\r\n"])
def test_section_ends_at_what_is_no_field(body: bytes) -> None:
    assert read(b"A: b\r\n" + body if not body.startswith(b" ") else body)[1] == body


def test_header_only() -> None:
    fields, rest, done = read(b"Subject: a\r\n")
    assert [field.raw for field in fields] == [b"Subject: a\r\n"]
    assert (rest, done) == (b"", False)


def test_a_megabyte_in_one_line_is_read_once() -> None:
    reader = HeaderReader()
    reader.feed(b"A: ")
    for _ in range(2**20 // 64):
        reader.feed(b"a" * 64)
        assert reader.size - reader._searched <= 1
    reader.feed(b"\r\n\r\nbody")
    assert reader.done
    assert reader.size == 2**20 + 5
    fields, rest = reader.split()
    assert len(fields[0].value) == 2**20
    assert rest == b"\r\nbody"
