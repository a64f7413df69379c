"""What we do otherwise than nats-py's own client."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.errors import NoServersError

from common.nats_connection import _Client

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]))


@given(st.dictionaries(NAMES, VALUES), st.sampled_from([":", ": ", ":\t "]))
def test_headers_are_read_as_nats_py_reads_them(headers: dict[str, str], colon: str) -> None:
    raw = "".join(f"{name}{colon}{value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
    assert _Client._parse_header_lines(raw) == Client._parse_header_lines(raw) == headers


async def test_the_connection_of_a_failed_handshake_is_closed_before_the_next_try() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        client = _Client()
        client._transport = TcpTransport()
        client._transport._io_reader, client._transport._io_writer = reader, writer
        with pytest.raises(NoServersError):
            await client._select_next_server()
        assert writer.is_closing()
        await writer.wait_closed()
