"""What leaves holds CRLF line ends only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.normalise import normalise

# Mostly what matters, so that runs and mixtures occur.
MESSAGES = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"\r\n\r\n", b"a", b" ", b"Subject: x", b"\xff"])
).map(b"".join)


@pytest.mark.parametrize("message", [b"\r\n", b"A: b\r\n", b"A: b\r\n\r\n", b"A: b\r\n\r\nx\xff\r\n\r\n.\r\n"])
def test_what_is_clean_is_the_same_object(message: bytes) -> None:
    assert normalise(message) is message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", b"\r\n"),
        (b"A: b", b"A: b\r\n"),
        (b"A: b\r\n\r\nx", b"A: b\r\n\r\nx\r\n"),
        (b"A: b\n\nx\ny\n", b"A: b\r\n\r\nx\r\ny\r\n"),
        (b"A: b\r\n\r\nx\ry\n\rz\r\n", b"A: b\r\n\r\nx\r\ny\r\n\r\nz\r\n"),
        (b"A: b\r\n\r\nx\0y\r\0\n", b"A: b\r\n\r\nxy\r\n"),
        pytest.param(b"A: b\r\r\n\r\r\nx\r\r\n", b"A: b\r\n\r\nx\r\n", id="line ends converted twice"),
        pytest.param(b"A: b\rFrom: c\r\n\r\nx\r\n", b"A: b From: c\r\n\r\nx\r\n", id="a bare CR starts no field"),
        pytest.param(b"A: b\r\rc\r\n\r\nx\r\n", b"A: b  c\r\n\r\nx\r\n", id="bare CRs start no body"),
        pytest.param(b"A: b\r\n\0\r\nC: d\r\n\r\nx\r\n", b"A: b\r\nC: d\r\n\r\nx\r\n", id="nor does a NUL"),
        pytest.param(b"\nx\0", b"\r\nx\r\n", id="no header"),
        pytest.param(b"A: b\n\n\0", b"A: b\r\n\r\n", id="nothing left of the body"),
    ],
)
def test_stray_bytes(message: bytes, expected: bytes) -> None:
    assert normalise(message) == expected


@given(MESSAGES)
def test_no_stray_byte_is_left(message: bytes) -> None:
    once = normalise(message)
    rest = once.replace(b"\r\n", b"")
    assert b"\r" not in rest
    assert b"\n" not in rest
    assert b"\0" not in rest
    assert once.endswith(b"\r\n")
    assert normalise(once) is once


@given(MESSAGES, MESSAGES)
def test_the_header_ends_where_it_ended(start: bytes, body: bytes) -> None:
    lines = [line for line in start.split(b"\n") if line.strip(b"\r")]
    header = b"".join(line + b"\n" for line in [b"X: y", *lines])
    assert normalise(header + b"\n" + body).partition(b"\r\n\r\n")[0] + b"\r\n" == normalise(header)


def test_a_megabyte_of_cr_takes_no_longer_than_other_bytes() -> None:
    """Looked through from each of them it would be minutes, which the test's time limit does not allow."""
    assert normalise(b"X: y\r\n\r\n" + b"\r" * 10**6 + b"x\r\n") == b"X: y\r\n\r\n" + b"\r\n" * 10**6 + b"x\r\n"
