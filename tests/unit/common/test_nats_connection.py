"""Our reading of headers stands for nats-py's own."""

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from common.nats_connection import _Client

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]))


@given(st.dictionaries(NAMES, VALUES), st.sampled_from([":", ": ", ":\t "]))
def test_headers_are_read_as_nats_py_reads_them(headers: dict[str, str], colon: str) -> None:
    raw = "".join(f"{name}{colon}{value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
    assert _Client._parse_header_lines(raw) == Client._parse_header_lines(raw) == headers
