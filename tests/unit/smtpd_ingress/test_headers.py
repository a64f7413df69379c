import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd_ingress.headers import MAX_FIELDS, MAX_HEADER, Field, HeaderReader
from smtpd_ingress.rejection import RefusedError

LINES = st.lists(
    st.sampled_from([b"A: b", b"Bcc : c", b" fold", b"\tfold", b"text", b"", b" ", b"X:", b":", b"\xff: y", b"a\0b:"]),
    max_size=12,
)


def read(data: bytes, size: int = 2**16) -> tuple[list[Field], bytes, bool]:
    reader = HeaderReader()
    position = 0
    while not reader.done and position < len(data):
        reader.feed(data[position : position + size])
        position += size
    fields, rest = reader.split()
    return fields, rest + data[position:], reader.done


@given(LINES, st.integers(1, 9))
def test_nothing_is_lost_and_pieces_make_no_difference(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    fields, rest, _ = read(data, size)
    assert b"".join(field.raw for field in fields) + rest == data
    assert (fields, rest) == read(data)[:2]


@given(LINES)
def test_fields_are_what_line_by_line_they_are(lines: list[bytes]) -> None:
    expected: list[bytes] = []
    for line in lines:
        if line.startswith((b" ", b"\t")) and expected:
            expected[-1] += line + b"\r\n"
        elif re.match(rb"[!-9;-~]+[ \t]*:", line):
            expected.append(line + b"\r\n")
        else:
            break
    assert [field.raw for field in read(b"".join(line + b"\r\n" for line in lines))[0]] == expected


def test_section_ends_at_the_empty_line() -> None:
    fields, rest, done = read(b"Subject: a\r\n b\r\nBcc: c\r\n\r\nBody: no field\r\n")
    assert [(field.name, field.value) for field in fields] == [("subject", "a b"), ("bcc", "c")]
    assert rest == b"\r\nBody: no field\r\n"
    assert done


@pytest.mark.parametrize("body", [b"no field\r\n", b" folded onto nothing\r\n", b"From x@y Mon\r\n", b"\r\n"])
def test_section_ends_at_what_is_no_field(body: bytes) -> None:
    assert read(b"A: b\r\n" + body if not body.startswith(b" ") else body)[1] == body


def test_header_only() -> None:
    fields, rest, done = read(b"Subject: a\r\n")
    assert [field.raw for field in fields] == [b"Subject: a\r\n"]
    assert (rest, done) == (b"", False)


def test_a_megabyte_in_pieces() -> None:
    reader = HeaderReader()
    reader.feed(b"A: ")
    for _ in range(MAX_HEADER // 64 - 1):
        reader.feed(b"a" * 64)
    reader.feed(b"\r\n\r\nbody")
    assert reader.done
    fields, rest = reader.split()
    assert len(fields[0].value) == MAX_HEADER - 64
    assert rest == b"\r\nbody"


def feed(data: bytes) -> HeaderReader:
    reader = HeaderReader()
    for start in range(0, len(data), 65_536):
        reader.feed(data[start : start + 65_536])
    return reader


def test_limits() -> None:
    field = b"A: " + b"a" * (MAX_HEADER - 5) + b"\r\n"
    assert len(feed(field + b"\r\nbody").split()[0]) == 1
    assert len(feed(b"A: b\r\n" * MAX_FIELDS + b"\r\nbody").split()[0]) == MAX_FIELDS
    for data in (b"A" + field + b"\r\nbody", b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n", field + b"B: b\r\n"):
        with pytest.raises(RefusedError) as error:
            feed(data).split()
        assert str(error.value).startswith("552 5.3.4 Message header too big: more than ")


def test_no_more_fields_are_made_than_are_taken() -> None:
    reader = feed(b"a:\r\n" * (MAX_HEADER // 4 - 1) + b"\r\n")
    tracemalloc.start()
    with pytest.raises(RefusedError):
        reader.split()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * MAX_HEADER  # all of them would take 80 times as much as they are long


def test_a_body_without_empty_line_before_it_is_no_header_however_long() -> None:
    reader = feed(b"A: b\r\nno field\r\n" + b"C: d\r\n" * MAX_HEADER)
    fields, rest = reader.split()
    assert reader.done
    assert [field.raw for field in fields] == [b"A: b\r\n"]
    assert rest.startswith(b"no field\r\nC: d\r\n")


def test_folded_lines_without_end() -> None:
    fields, _ = feed(b"A:\r\n" + b" \r\n" * 300_000 + b"\r\n").split()
    assert len(fields[0].raw) == 900_004
