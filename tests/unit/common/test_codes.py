import re

from hypothesis import given
from hypothesis import strategies as st

from common import codes
from common.codes import Reply


def test_lines_on_the_wire() -> None:
    assert codes.OK.encode() == b"250 2.0.0 Ok\r\n"
    assert Reply(250, "", "mta1.example.net\nSIZE 10\nPIPELINING").encode() == (
        b"250-mta1.example.net\r\n250-SIZE 10\r\n250 PIPELINING\r\n"
    )
    assert Reply(550, "5.7.1", "a\nb").encode() == b"550-5.7.1 a\r\n550 5.7.1 b\r\n"


def test_as_logged() -> None:
    assert str(codes.BYE.but("Good\r\nbye\x1b")) == "221 2.0.0 Good??bye?"


@given(st.text(max_size=2000))
def test_no_text_breaks_a_reply(text: str) -> None:
    for line in Reply(550, "5.1.1", text).encode().split(b"\r\n")[:-1]:
        assert re.fullmatch(rb"550[ -]5\.1\.1 [ -~]*", line)
        assert len(line) <= 510


def test_codes_agree_with_their_enhanced_codes() -> None:
    """RFC 2034 section 4: all but 3xx have one, of their class."""
    replies = {name: reply for name, reply in vars(codes).items() if isinstance(reply, Reply)}
    for name, reply in replies.items():
        if reply.code // 100 == 3:
            assert not reply.enhanced, name
        else:
            assert re.fullmatch(rf"{reply.code // 100}\.\d\.\d{{1,2}}", reply.enhanced), name
    assert len(replies) > 30
