import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.reply import MAX_BUFFER, MAX_LINE, MAX_LINES, Reply, ReplyError, ReplyParser


def replies(*pieces: bytes) -> list[Reply]:
    parser, found = ReplyParser(), []
    for piece in pieces:
        parser.feed(piece)
        while reply := parser.next():
            found.append(reply)
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"250 2.1.0 Ok\r\n", Reply(250, "2.1.0", ("Ok",))),
        (b"250 Ok\n", Reply(250, "", ("Ok",))),
        (b"354\r\n", Reply(354, "", ("",))),
        (b"250 \r\n", Reply(250, "", ("",))),
        (b"250-mx\r\n250-SIZE 10\r\n250 STARTTLS\r\n", Reply(250, "", ("mx", "SIZE 10", "STARTTLS"))),
        (b"550-5.1.1 No such\r\n550 5.1.1 user\r\n", Reply(550, "5.1.1", ("No such", "user"))),
        (b"550 4.2.1 odd\r\n", Reply(550, "", ("4.2.1 odd",))),
        (b"250 2.0.0\r\n", Reply(250, "2.0.0", ("",))),
        (b"250 2.0.00000 x\r\n", Reply(250, "", ("2.0.00000 x",))),
        (b"550 \x1b[31mred\xff\r\n", Reply(550, "", ("?[31mred\N{REPLACEMENT CHARACTER}",))),
    ],
)
def test_a_reply(data: bytes, expected: Reply) -> None:
    assert replies(data) == [expected]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"\r\n",
        b"150 x\r\n",
        b"650 x\r\n",
        b"25\r\n",
        b"2500 x\r\n",
        b"250_x\r\n",
        b"\xb2\xb2\xb2 x\r\n",
        b"250-a\r\n251 b\r\n",
        b"250 " + b"x" * MAX_LINE,
        b"250 " + b"x" * MAX_LINE + b"\r\n",
        b"250-x\r\n" * (MAX_LINES + 1),
        b"220 x\r\n" * MAX_BUFFER,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(ReplyError):
        replies(data)


def test_a_long_text_is_cut() -> None:
    (reply,) = replies(b"".join(b"550-" + b"x" * 500 + b"\r\n" for _ in range(100)) + b"550 x\r\n")
    assert len(reply.text) == 1000


def test_replies_that_arrive_together_stay_apart() -> None:
    assert [str(r) for r in replies(b"250 2.1.0 a\r\n250 b\r\n354 go\r\n")] == ["250 2.1.0 a", "250 b", "354 go"]


def test_what_is_left_over_is_pending() -> None:
    parser = ReplyParser()
    parser.feed(b"250 a\r\n421 bye")
    assert parser.next()
    assert parser.pending
    assert parser.next() is None
    parser.feed(b"\r\n")
    assert parser.next() == Reply(421, "", ("bye",))
    assert not parser.pending


LINES = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), min_size=1, max_size=5)


@given(st.lists(st.tuples(st.integers(200, 599), LINES), max_size=4), st.data())
def test_how_the_bytes_are_cut_changes_nothing(wanted: list[tuple[int, list[str]]], data: st.DataObject) -> None:
    stream = b"".join(
        f"{code}{' ' if i == len(lines) - 1 else '-'}{line}\r\n".encode()
        for code, lines in wanted
        for i, line in enumerate(lines)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = replies(*pieces)
    assert found == replies(stream)
    assert [r.code for r in found] == [code for code, _ in wanted]
    assert [len(r.lines) for r in found] == [len(lines) for _, lines in wanted]


@given(st.lists(st.binary(max_size=50) | st.sampled_from([b"250 ", b"250-", b"\r\n", b"\n", b"5.1.1 "]), max_size=30))
def test_any_bytes_are_replies_or_refused(pieces: list[bytes]) -> None:
    with contextlib.suppress(ReplyError):
        assert all(200 <= r.code <= 599 and "\n" not in r.text for r in replies(*pieces))
