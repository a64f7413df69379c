import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd_ingress.data import DataReader

PIECES = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.", b"\r\n.\r"]), max_size=40)


def read(data: bytes, size: int) -> tuple[bytes, DataReader, bytes]:
    """Feed in pieces; the message, the reader, and what was not fed any more."""
    reader, content, position = DataReader(), b"", 0
    while not reader.done and position < len(data):
        content += reader.feed(data[position : position + size])
        position += size
    return content, reader, reader.leftover + data[position:]


def stuff(message: bytes) -> bytes:
    """What a client sends for a message that ends in CRLF (RFC 5321 4.5.2)."""
    return b"".join(
        b"." + line + b"\r\n" if line.startswith(b".") else line + b"\r\n" for line in message.split(b"\r\n")[:-1]
    )


@given(PIECES, st.binary(max_size=20), st.integers(1, 12))
def test_stuffed_message_comes_back(pieces: list[bytes], behind: bytes, size: int) -> None:
    message = b"".join([*pieces, b"\r\n"])
    content, reader, leftover = read(stuff(message) + b".\r\n" + behind, size)
    assert reader.done
    assert content == message
    assert leftover == behind


@given(PIECES, st.integers(1, 12))
def test_ends_at_the_first_crlf_dot_crlf_and_nowhere_else(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    end = (b"\r\n" + data).find(b"\r\n.\r\n")
    _, reader, leftover = read(data, size)
    assert reader.done == (end >= 0)
    if end >= 0:
        assert leftover == data[end + 3 :]


def test_empty_message() -> None:
    reader = DataReader()
    assert reader.feed(b".\r\nQUIT\r\n") == b""
    assert reader.done
    assert reader.leftover == b"QUIT\r\n"


@pytest.mark.parametrize("ending", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"])
def test_smuggling_endings_are_content(ending: bytes) -> None:
    reader = DataReader()
    first = reader.feed(b"one" + ending + b"MAIL FROM:<x@example.org>")
    assert not reader.done
    content = first + reader.feed(b"\r\n.\r\n")
    assert reader.done
    assert content.startswith(b"one")
    assert content.endswith(b"MAIL FROM:<x@example.org>\r\n")
