import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd_ingress.lines import MAX_AUTH_LINE, MAX_LINE, Lines, TooLongError


def drain(lines: Lines) -> list[bytes | None]:
    """All lines that are there; None for one that was too long."""
    found: list[bytes | None] = []
    while True:
        try:
            if (line := lines.next()) is None:
                return found
            found.append(line)
        except TooLongError:
            found.append(None)


def test_a_line_may_have_so_many_octets() -> None:
    lines = Lines()
    lines.feed(b"a" * (MAX_LINE - 2) + b"\r\n")
    assert lines.next() == b"a" * (MAX_LINE - 2) + b"\r\n"
    lines.feed(b"a" * (MAX_LINE - 1) + b"\r\nNOOP\r\n")
    with pytest.raises(TooLongError):
        lines.next()
    assert lines.next() == b"NOOP\r\n"


def test_who_asks_for_a_longer_line_gets_one() -> None:
    lines = Lines()
    lines.feed(b"a" * MAX_LINE + b"\r\n")
    assert lines.next(MAX_AUTH_LINE) == b"a" * MAX_LINE + b"\r\n"


def test_a_line_without_end_takes_no_memory() -> None:
    lines = Lines()
    for _ in range(1000):
        lines.feed(b"a" * 1000)
        assert lines.next() is None
    assert len(lines.take()) <= MAX_LINE
    lines.feed(b"\n")
    with pytest.raises(TooLongError):
        lines.next()


def test_the_limit_that_is_told_is_the_one_it_was_over() -> None:
    lines = Lines()
    lines.feed(b"a" * (MAX_AUTH_LINE + 1))
    assert lines.next(MAX_AUTH_LINE) is None
    lines.feed(b"a" * (MAX_LINE + 1))
    assert lines.next() is None
    lines.feed(b"\n")
    with pytest.raises(TooLongError) as error:
        lines.next()
    assert error.value.limit == MAX_AUTH_LINE


def test_message_data_is_taken_as_it_is() -> None:
    lines = Lines()
    lines.feed(b"DATA\r\nSubject: x\r\n")
    assert lines.next() == b"DATA\r\n"
    assert lines.take() == b"Subject: x\r\n"
    assert lines.next() is None


@given(st.lists(st.binary(max_size=2500), max_size=8), st.integers(1, 2300))
def test_pieces_make_no_difference(parts: list[bytes], size: int) -> None:
    data = b"\n".join(parts)
    whole, pieces = Lines(), Lines()
    whole.feed(data)
    found: list[bytes | None] = []
    for start in range(0, len(data), size):
        pieces.feed(data[start : start + size])
        found += drain(pieces)
    assert found == drain(whole)
    lengths = [len(part) + 1 for part in data.split(b"\n")[:-1]]
    assert [line is None for line in found] == [length > MAX_LINE for length in lengths]
