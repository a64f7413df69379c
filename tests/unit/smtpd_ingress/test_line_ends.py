import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpd_ingress import line_ends
from smtpd_ingress.line_ends import MAX_LINE, LineEnds
from smtpd_ingress.rejection import RefusedError

PIECES = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b".", b"a", b"\r\n", b"\r\n.", b"a: b\r\n"]), max_size=30)


def run(data: bytes, size: int = 2**16, *, fix: bool) -> bytes:
    ends = LineEnds(fix=fix)
    pieces = [ends.feed(data[start : start + size]) for start in range(0, len(data), size)]
    return b"".join([*pieces, ends.finish()])


def refusal(data: bytes, size: int = 2**16, *, fix: bool = False) -> str:
    with pytest.raises(RefusedError) as error:
        run(data, size, fix=fix)
    return str(error.value)


@given(PIECES, st.integers(1, 9))
@example([b"\r", b"\0", b"\n"], 2)
@example([b"a", b"\r", b"\r", b"\r\n"], 1)
def test_what_is_mended_has_crlf_only(pieces: list[bytes], size: int) -> None:
    content = run(b"".join(pieces), size, fix=True)
    assert content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")
    assert b"\0" not in content
    assert content.endswith(b"\r\n") or not content
    assert content == run(b"".join(pieces), fix=True)


@given(PIECES, st.integers(1, 9))
def test_what_is_clean_goes_as_it_is_and_all_else_is_refused(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    if re.search(rb"\r(?!\n)|(?<!\r)\n|\0", data):
        assert refusal(data, size).startswith("550 5.6.0 Line ")
        return
    ended = data if data.endswith(b"\r\n") or not data else data + b"\r\n"
    assert run(data, size, fix=False) == run(data, size, fix=True) == ended


@pytest.mark.parametrize(
    ("given", "mended"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\r\r\nb", b"a\r\nb\r\n"),
        (b"Subject: a\rBcc: b\r\n", b"Subject: a Bcc: b\r\n"),
        (b"a\r\r\rb\r\n", b"a b\r\n"),
        (b"\r\n\0.\r\n", b"\r\n.\r\n"),
        (b"a\r\0\nb\r\n", b"a\r\nb\r\n"),
        (b"a\r", b"a\r\n"),
        (b"", b""),
    ],
)
def test_how_it_is_mended(given: bytes, mended: bytes) -> None:
    for size in (1, 2, 3, 100):
        assert run(given, size, fix=True) == mended


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"a\r\nb\nc\r\n", "550 5.6.0 Line 2 of the message: bare LF; end lines with CRLF"),
        (b"a\r\nb\r\n\rc\r\n", "550 5.6.0 Line 3 of the message: bare CR; end lines with CRLF"),
        (b"a\r\nb\r\r\n", "550 5.6.0 Line 2 of the message: bare CR; end lines with CRLF"),
        (b"a\r\nb\r", "550 5.6.0 Line 2 of the message: bare CR; end lines with CRLF"),
        (b"\0", "550 5.6.0 Line 1 of the message: NUL; encode the part (MIME)"),
    ],
)
def test_a_refusal_names_the_line_and_the_remedy(given: bytes, told: str) -> None:
    assert {refusal(given, size) for size in (1, 2, 3, 100)} == {told}


@given(st.lists(st.integers(0, 12), max_size=6), st.integers(1, 30))
def test_the_longest_line_in_any_pieces(lengths: list[int], size: int) -> None:
    data = b"".join(b"x" * length + b"\r\n" for length in lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ends, "MAX_LINE", 10)
        over = next((number for number, length in enumerate(lengths, 1) if length > 10), 0)
        if over:
            told = f"550 5.6.0 Line {over} of the message: more than 10 bytes; break the line or encode it"
            assert refusal(data, size, fix=True) == told
        else:
            assert run(data, size, fix=True) == data


def test_a_line_of_a_megabyte() -> None:
    assert run(b"x" * MAX_LINE, fix=False) == b"x" * MAX_LINE + b"\r\n"
    assert "Line 1 of the message: more than 1048576 bytes" in refusal(b"x" * (MAX_LINE + 1))
