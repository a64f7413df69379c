import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content import WHOLE, BodyRef, Compressor, CorruptError, digest, head, load, store


@given(st.lists(st.binary(max_size=5000)))
def test_a_message_in_any_pieces_is_read_back(pieces: list[bytes]) -> None:
    compressor = Compressor()
    for piece in pieces:
        compressor.feed(piece)
    message = b"".join(pieces)
    assert compressor.size == len(message)
    assert load(compressor.finish()) == message == load(store(message))


@given(st.binary(max_size=200))
def test_other_bytes_are_corrupt_and_nothing_else(data: bytes) -> None:
    try:
        load(data)
    except CorruptError:
        return
    assert data[:1] == b"\x01"


def test_half_of_it_is_corrupt() -> None:
    stored = store(bytes(range(256)) * 10)
    with pytest.raises(CorruptError):
        load(stored[: len(stored) // 2])


def test_a_reference_survives_the_entry() -> None:
    ref = BodyRef(10, 2, digest(b"x"))
    assert BodyRef.from_list(ref.to_list()) == ref


@pytest.mark.parametrize("size", [0, 1, WHOLE, WHOLE + 1, 3 * WHOLE])
def test_small_and_large_have_one_stored_form(size: int) -> None:
    message = (bytes(range(251)) * (size // 251 + 1))[:size]
    compressor = Compressor()
    for start in range(0, size, 65_536):
        compressor.feed(message[start : start + 65_536])
    assert load(compressor.finish()) == load(store(message)) == message


@given(st.binary(max_size=5000), st.integers(0, 6000))
def test_the_head_is_what_it_begins_with(message: bytes, size: int) -> None:
    assert head(store(message), size) == message[:size]


def test_the_head_of_a_large_message_needs_only_the_first_of_its_stored_form() -> None:
    message, compressor = os.urandom(3 * WHOLE), Compressor()
    compressor.feed(message)
    assert head(compressor.finish()[:WHOLE], 50_000) == message[:50_000]


@given(st.binary(max_size=200))
def test_other_bytes_have_no_head(data: bytes) -> None:
    try:
        head(data, 100)
    except CorruptError:
        return
    assert data[:1] == b"\x01"


def test_the_head_of_what_is_corrupt_is_none() -> None:
    stored = bytearray(store(bytes(range(256)) * 10))
    stored[-1] ^= 1  # the checksum
    with pytest.raises(CorruptError):
        head(bytes(stored), 50_000)
