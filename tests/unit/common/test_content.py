import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.content import WHOLE, BodyRef, Compressor, CorruptError, digest, load, store


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
