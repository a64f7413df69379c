"""Relaxed canonicalisation, compared with dkimpy's."""

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st

from outbound.canonical import relaxed_body, relaxed_header

BODIES = st.lists(st.sampled_from([b"\r\n", b" ", b"\t", b"a", b".", b"\xff", b"\x0b", b" " * 9])).map(
    lambda parts: b"".join(parts) + b"\r\n"
)
VALUES = st.lists(st.sampled_from([b"\r\n ", b"\r\n\t", b" ", b"\t", b"a", b"\xff", b":", b" " * 9])).map(b"".join)


@given(BODIES)
def test_bodies_are_as_dkimpy_has_them(body: bytes) -> None:
    canonical = relaxed_body(body)
    assert canonical == Relaxed.canonicalize_body(body)
    assert relaxed_body(canonical) is canonical


@given(st.sampled_from([b"Subject", b"X-a \t"]), VALUES)
def test_headers_are_as_dkimpy_has_them(name: bytes, value: bytes) -> None:
    ((their_name, their_value),) = Relaxed.canonicalize_headers([(name, value + b"\r\n")])
    assert relaxed_header(name, value) == their_name + b":" + their_value


@pytest.mark.parametrize("body", [b"", b"a\r\n", b"a b\r\n\r\nc\r\n"])
def test_a_canonical_body_is_not_copied(body: bytes) -> None:
    assert relaxed_body(body) is body


@pytest.mark.parametrize(("body", "expected"), [(b"\r\n", b""), (b" \r\n\t\r\n", b""), (b"a", b"a\r\n")])
def test_ends(body: bytes, expected: bytes) -> None:
    assert relaxed_body(body) == expected


def test_the_example_of_the_rfc() -> None:
    # RFC 6376 3.4.5
    assert relaxed_header(b"A", b" X") + relaxed_header(b"B ", b" Y\t\r\n\tZ  ") == b"a:X\r\nb:Y Z\r\n"
    assert relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"
