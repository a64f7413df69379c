import asyncio
import resource

import pytest
import structlog

from common.config import Config
from common.entry import Entry
from common.errors import UnavailableError
from common.event import Event
from common.listener import Listener
from smtpd_ingress import role
from smtpd_ingress.listener import bind
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.role import run


async def submit(entries: list[Entry], content: bytes, row: Event) -> None:
    pass


def on_reject(rejection: Rejection) -> None:
    pass


async def greeting(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    line = await reader.readline()
    writer.close()
    return line


async def test_several_processes_share_one_port() -> None:
    """Two of the role, here in one process: the kernel spreads connections over their sockets."""
    stopping = asyncio.Event()
    with bind(Listener(bind="127.0.0.1:0")) as first:
        first.listen()  # the first connection may come before the role runs
        port = first.getsockname()[1]
        listener = Listener(bind=f"127.0.0.1:{port}")
        runs = [
            asyncio.create_task(run(Config(hostname=name, listeners=[listener]), submit, on_reject, stopping, given))
            for name, given in (("one.example", {"relay": first}), ("two.example", {}))
        ]
        greetings = {await greeting(port) for _ in range(64)}
        stopping.set()
        await asyncio.gather(*runs)
    assert greetings == {b"220 one.example ESMTP Postjet\r\n", b"220 two.example ESMTP Postjet\r\n"}


async def test_every_listener_is_served_until_stopped() -> None:
    stopping = asyncio.Event()
    listeners = [Listener(name="a", bind="127.0.0.1:0"), Listener(name="b", bind="127.0.0.2:0")]
    sockets = {listener.name: bind(listener) for listener in listeners}
    config = Config(hostname="mta1.example.net", listeners=listeners)
    task = asyncio.create_task(run(config, submit, on_reject, stopping, sockets))
    for sock in sockets.values():
        sock.listen()
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        assert (await reader.readline()).startswith(b"220 ")
        writer.close()
    stopping.set()
    await task
    assert all(sock.fileno() == -1 for sock in sockets.values())


async def test_what_cannot_start_says_so() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = Config(hostname="x", listeners=[Listener(bind=f"127.0.0.1:{port}")])
    with pytest.raises(UnavailableError):
        await run(config, submit, on_reject, asyncio.Event(), {})
    server.close()


def test_too_few_files_are_told_of() -> None:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with structlog.testing.capture_logs() as logs:
        role._tell_of_few_files([Listener(max_connections=allowed - 100)])
        assert logs == []
        role._tell_of_few_files([Listener(max_connections=allowed - 100), Listener(name="b", max_connections=1)])
    [line] = logs
    assert line["event"].startswith(f"listener relay, b: max_connections needs {allowed + 1} open files, the system ")
