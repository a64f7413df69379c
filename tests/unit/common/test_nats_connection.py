"""What we do otherwise than nats-py's own client."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import NATS_HDR_LINE, Client
from nats.aio.transport import TcpTransport
from nats.errors import NoServersError
from nats.protocol.command import hpub_cmd
from support import PASSWORD, Nats

from common.nats_connection import _Client, frame
from master import nats_server

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]))


@given(st.dictionaries(NAMES, VALUES), st.sampled_from([":", ": ", ":\t "]))
def test_headers_are_read_as_nats_py_reads_them(headers: dict[str, str], colon: str) -> None:
    raw = "".join(f"{name}{colon}{value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
    assert _Client._parse_header_lines(raw) == Client._parse_header_lines(raw) == headers


@given(st.dictionaries(NAMES, VALUES, min_size=1), st.binary())
def test_a_frame_is_what_nats_py_sends(headers: dict[str, str], body: bytes) -> None:
    head = b"".join([NATS_HDR_LINE, b"\r\n", *(f"{k}: {v}\r\n".encode() for k, v in headers.items()), b"\r\n"])
    assert frame("a.b", body, headers).split() == hpub_cmd("a.b", "", head, body).split()


@pytest.mark.parametrize("value", ["a\r\nNats-Rollup: all", "a\nb", "a\rb"])
def test_a_frame_has_no_line_break_in_a_header(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        frame("a.b", b"", {"Name": value})


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


async def test_nothing_tries_to_reconnect_once_it_is_closed(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = asyncio.Event()

    async def refused_and_cancelled(*_: object, **__: object) -> None:
        """As asyncio.wait_for of Python 3.11 ends when both happen at once."""
        tried.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionRefusedError from None

    client = _Client()
    login = {"user": nats_server.USER, "password": PASSWORD}
    await client.connect(nats.url, **login, reconnect_time_wait=0.01, max_reconnect_attempts=-1)
    monkeypatch.setattr(TcpTransport, "connect", refused_and_cancelled)
    nats.kill()
    await tried.wait()
    attempts = client._reconnection_task
    assert attempts
    await client.close()
    done, _ = await asyncio.wait([attempts], timeout=10)
    attempts.cancel()
    assert done


async def test_a_first_try_that_fails_is_followed_by_another(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py closes itself in between."""
    client = _Client()
    failures = iter([TimeoutError()])
    greet = client._process_connect_init

    async def greet_late() -> None:
        for failure in failures:
            raise failure
        await greet()

    monkeypatch.setattr(client, "_process_connect_init", greet_late)
    await client.connect(nats.url, user=nats_server.USER, password=PASSWORD, reconnect_time_wait=0.01)
    assert client.is_connected
    await client.close()
