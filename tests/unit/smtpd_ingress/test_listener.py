import asyncio
import errno
import socket
from pathlib import Path
from types import ModuleType

import pytest
import structlog
import uvloop
from tls_support import write_certificate

from common.config import Config
from common.errors import CannotCreateError, ConfigError, UnavailableError
from common.listener import Listener
from common.sockets import _explained
from smtpd_ingress.context import Context
from smtpd_ingress.listener import Server, bind


def test_a_port_is_shared_with_our_own_kind_only() -> None:
    with bind(Listener(bind="127.0.0.1:0")) as first:
        port = first.getsockname()[1]
        with bind(Listener(bind=f"127.0.0.1:{port}")) as second:
            assert second.getsockname() == first.getsockname()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"listener 'mx': 127.0.0.1:{port} is taken"):
            bind(Listener(name="mx", bind=f"127.0.0.1:{port}"))


def test_an_address_of_somebody_else() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:2525: "):
        bind(Listener(bind="192.0.2.1:2525"))


def test_not_permitted() -> None:
    error = _explained("listener 'mx': 127.0.0.1:25", PermissionError(errno.EACCES, "Permission denied"))
    assert isinstance(error, CannotCreateError)
    assert "CAP_NET_BIND_SERVICE" in str(error)


@pytest.mark.parametrize("loop", [asyncio, uvloop])
def test_who_waits_to_be_greeted_gets_421(loop: ModuleType) -> None:
    """The kernel has connected it, nobody has accepted it: closing the socket alone would be a reset."""

    async def submit(*_: object) -> None: ...

    async def stop_with_one_waiting() -> bytes:
        listener = Listener(bind="127.0.0.1:0")
        server = Server(Context.of(Config(hostname="mta.test"), listener, submit, lambda _: None))
        sock = bind(listener)
        await server.start(sock)
        with socket.create_connection(sock.getsockname()) as client:  # blocks the loop, so that it accepts nobody
            await server.stop(1)
            with client.makefile("rb") as lines:
                said = lines.read()
        sock.close()
        return said

    assert loop.run(stop_with_one_waiting()) == b"421 4.3.2 Service shutting down, try again later\r\n"


@pytest.mark.parametrize("turns", range(6))
def test_who_is_accepted_as_the_listener_stops_gets_421(turns: int) -> None:
    """However far the loop (uvloop, as in the role) has come with a connection: nobody would wait for its mail."""

    async def submit(*_: object) -> None: ...

    async def stop_after_turns() -> bytes:
        listener = Listener(bind="127.0.0.1:0")
        server = Server(Context.of(Config(hostname="mta.test"), listener, submit, lambda _: None))
        sock = bind(listener)
        await server.start(sock)
        with socket.create_connection(sock.getsockname(), timeout=5) as client, client.makefile("rb") as lines:
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop(1)
            said = await asyncio.to_thread(lines.read)
        sock.close()
        return said

    said = uvloop.run(stop_after_turns()).removeprefix(b"220 mta.test ESMTP Postjet\r\n")
    assert said == b"421 4.3.2 Service shutting down, try again later\r\n"


@pytest.mark.parametrize("turns", range(6))
def test_with_implicit_tls_it_gets_nothing_in_clear(turns: int, tmp_path: Path) -> None:
    async def submit(*_: object) -> None: ...

    async def stop_after_turns() -> bytes:
        listener = Listener(bind="127.0.0.1:0", tls="implicit", **write_certificate(tmp_path, "mta.test"))
        server = Server(Context.of(Config(hostname="mta.test"), listener, submit, lambda _: None))
        sock = bind(listener)
        await server.start(sock)
        with socket.create_connection(sock.getsockname(), timeout=5) as client, client.makefile("rb") as lines:
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop(1)
            said = await asyncio.to_thread(lines.read)
        sock.close()
        return said

    with structlog.testing.capture_logs() as logs:
        assert uvloop.run(stop_after_turns()) == b""
    assert [line for line in logs if line["log_level"] != "info"] == []
