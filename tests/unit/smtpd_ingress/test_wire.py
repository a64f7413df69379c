"""The connection: what it needs of aiosmtpd (a contract), and what only a real socket shows."""

import asyncio
import inspect
import smtplib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import structlog
from aiosmtpd.smtp import SMTP

from common.submit_error import SubmitError
from smtpd_ingress import pace, role, wire
from smtpd_ingress.headers import MAX_HEADER

Start = Callable[..., Any]


def test_contract_with_aiosmtpd() -> None:
    assert version("aiosmtpd") == "1.4.6"
    assert issubclass(SMTP, asyncio.StreamReaderProtocol)
    source = " ".join(inspect.getsource(SMTP).split())
    for needed in (
        "self._handler_coroutine = self.loop.create_task( self._handle_client())",
        "asyncio.StreamReader(loop=self.loop, limit=self.line_length_limit)",
        "self._reader = reader self._writer = writer",
        "self._reader._transport = transport",
        "self._writer._transport = transport",
        "self._reader._buffer.clear()",
        "client_connected_cb=self._cb_client_connected",
        "self._timeout_handle = self.loop.call_later( duration or self._timeout_duration, self._timeout_cb )",
    ):
        assert needed in source
    assert "self._over_ssl = " in inspect.getsource(asyncio.StreamReaderProtocol._replace_writer)  # type: ignore[attr-defined]
    for replaced in ("_handle_client", "_timeout_cb", "connection_made", "connection_lost", "eof_received"):
        assert replaced in vars(SMTP)
        assert replaced in vars(wire.Connection)


async def test_smtplib(start_ingress: Start) -> None:
    ingress = await start_ingress()

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", ingress.port) as client:
            client.sendmail("a@example.org", ["b@example.com", "c@example.com"], "Subject: x\n\n.hello\n")
            client.sendmail("", ["d@example.com"], "Subject: y\n\nworld\n")

    await asyncio.to_thread(send)
    first, second = ingress.queued
    assert [(entry.id, entry.recipient, entry.domain) for entry in first.entries] == [
        (f"{first.row.submission}-1", "b@example.com", "example.com"),
        (f"{first.row.submission}-2", "c@example.com", "example.com"),
    ]
    assert first.content.endswith(b"Subject: x\r\n\r\n.hello\r\n")
    assert first.row.recipients == ("b@example.com", "c@example.com")
    assert first.row.size == first.entries[0].size == len(first.content)
    assert first.entries[0].client_address == first.row.client_address == "127.0.0.1"
    assert first.entries[0].expires - first.entries[0].accepted == 5 * 86400
    assert first.entries[0].content is None
    assert second.entries[0].sender == second.row.sender == ""


@pytest.mark.parametrize("fault", [SubmitError.full(), RuntimeError("bug")])
async def test_what_is_not_stored_is_not_accepted(start_ingress: Start, fault: Exception) -> None:
    ingress = await start_ingress()

    async def fail() -> None:
        raise fault

    ingress.before_submit = fail
    client = await ingress.connect()
    await client.into_data()
    with structlog.testing.capture_logs() as logs:
        reply = await client.say("x\r\n.")
    known = isinstance(fault, SubmitError)
    assert reply.startswith("452 4.3.1 " if known else "451 4.3.0 ")
    assert ingress.rejections[-1].phase == "dot"
    assert [log["log_level"] for log in logs] == (["info"] if known else ["error", "info"])
    ingress.before_submit = None
    for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA"):
        await client.say(command)
    assert (await client.say("x\r\n.")).startswith("250 2.0.0 ")


async def test_fifty_megabytes_and_one_byte_more(start_ingress: Start) -> None:
    ingress = await start_ingress()
    client = await ingress.connect()
    await client.into_data()
    line = b"x" * 4998 + b"\r\n"  # longer than RFC 5321 4.5.3.1.6 allows
    client.write(line * 10_000 + b".\r\n")
    assert (await client.reply()).startswith("250 2.0.0 ")
    assert ingress.queued.pop().content.endswith(b"\r\n\r\n" + line * 10_000)
    for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA"):
        await client.say(command)
    client.write(line * 9_999 + b"x" + line + b".\r\nNOOP\r\n")
    assert await client.reply() == "552 5.3.4 Message too big: more than 50000000 bytes"
    assert await client.reply() == "250 2.0.0 Ok"


async def test_header_section_of_a_megabyte(start_ingress: Start) -> None:
    ingress = await start_ingress()
    client = await ingress.connect()
    await client.into_data()
    fields = b"X-Filler:" + (b"\r\n " + b"a" * 70) * 20 + b"\r\n"
    client.write(fields * (10**6 // len(fields)) + b"\r\nx\r\n.\r\n")
    assert (await client.reply()).startswith("250 2.0.0 ")
    assert ingress.queued[0].content.count(fields) == 10**6 // len(fields)
    for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA"):
        await client.say(command)
    client.write(fields * (MAX_HEADER // len(fields) + 1) + b"\r\nx\r\n.\r\n")
    assert (await client.reply()).startswith("552 5.3.4 Message header too big")


async def test_over_long_lines(start_ingress: Start) -> None:
    client = await (await start_ingress()).connect()
    await client.reply()
    assert await client.say("NOOP " + "x" * 2041) == "250 2.0.0 Ok"
    for length in (2042, 5_000, 500_000):
        assert await client.say("NOOP " + "x" * length) == "500 5.5.2 Line too long: more than 2048 bytes"
    assert await client.say("AUTH " + "x" * 12_283) == "503 5.5.1 Send EHLO first"
    assert await client.say("AUTH " + "x" * 12_284) == "500 5.5.6 Line too long: more than 12290 bytes"
    assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_too_many_connections(start_ingress: Start) -> None:
    ingress = await start_ingress(max_connections=1)
    first = await ingress.connect()
    await first.reply()
    second = await ingress.connect()
    assert await second.reply() == "421 4.3.2 Too many connections, try again later"
    assert await second.line() == ""
    assert ingress.rejections[0].phase == "connect"
    assert await first.say("QUIT") == "221 2.0.0 Bye"
    assert await first.line() == ""
    assert (await (await ingress.connect()).reply()).startswith("220 ")


async def test_idle_clients_are_sent_away(start_ingress: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "IDLE_TIMEOUT", 0.05)
    ingress = await start_ingress()
    for sent in (b"", b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: x\r\n"):
        client = await ingress.connect()  # only now: its time runs
        client.write(sent)
        lines = [line async for line in client.until_closed()]
        assert lines[-1] == "421 4.4.2 Idle for too long, closing connection"
    assert not ingress.queued


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[wire.Connection]:
    """The server's side of connections."""
    connections: list[wire.Connection] = []
    monkeypatch.setattr(wire.Connection, "_count_sessions", lambda connection: connections.append(connection))
    return connections


async def test_what_was_sent_ahead_is_not_done_once_the_session_has_ended(
    start_ingress: Start, made: list[wire.Connection]
) -> None:
    ingress = await start_ingress()
    reached, go_on = ingress.hold_submit()
    client = await ingress.connect()
    await client.into_data()
    client.write(b"x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nBDAT 3 LAST\r\nx\r\n")
    await reached.wait()
    made[0].cut_off()
    go_on.set()
    await ingress.stop()
    assert len(ingress.queued) == 1


async def test_what_comes_as_the_session_ends_is_not_done(start_ingress: Start, made: list[wire.Connection]) -> None:
    """Told 421, the client sends it again."""
    ingress = await start_ingress()
    client = await ingress.connect()
    await client.into_data()
    made[0].data_received(b"x\r\n.\r\n")
    made[0].cut_off()
    made[0].data_received(b"NOOP\r\n")
    assert [line async for line in client.until_closed()] == ["421 4.3.2 Service shutting down, try again later"]
    await ingress.stop()
    assert not ingress.queued


async def test_slow_messages_are_sent_away(start_ingress: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "GRACE", 0.5)
    monkeypatch.setattr(pace, "MIN_RATE", 1e9)
    ingress = await start_ingress()
    in_data, in_chunk = await ingress.connect(), await ingress.connect()
    await in_data.into_data()
    in_data.write(b"x")
    in_chunk.write(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nBDAT 1000\r\nx")

    for client in (in_data, in_chunk):
        lines = [line async for line in client.until_closed()]
        assert lines[-1] == "421 4.4.2 Message comes in too slowly, closing connection"
    assert not ingress.queued


async def test_a_message_that_is_whole_in_time_is_not_too_slow(
    start_ingress: Start, made: list[wire.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told 421 while it is queued the client would send it again, and it would be there twice."""
    monkeypatch.setattr(pace, "GRACE", 5.0)
    ingress = await start_ingress()
    left = []

    async def look() -> None:
        assert made[0]._timeout_handle
        left.append(made[0]._timeout_handle.when() - asyncio.get_running_loop().time())

    ingress.before_submit = look
    client = await ingress.connect()
    await client.into_data()
    assert (await client.say("x\r\n.")).startswith("250 ")
    assert left[0] > 2 * pace.GRACE


async def test_a_client_may_close_its_side_early(start_ingress: Start) -> None:
    ingress = await start_ingress()
    client = await ingress.connect()
    client.write(b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n")
    client.writer.write_eof()
    assert [line[:3] async for line in client.until_closed()] == ["220", "250", "250", "250", "354", "250"]
    assert len(ingress.queued) == 1


async def test_a_connection_lost_in_data_queues_nothing(start_ingress: Start) -> None:
    ingress = await start_ingress()
    client = await ingress.connect()
    await client.into_data()
    client.write(b"Subject: x\r\n\r\nhalf a mess")
    client.writer.close()
    await client.writer.wait_closed()
    await ingress.stop()
    assert not ingress.queued


async def test_a_client_that_leaves_does_not_disturb_queueing(start_ingress: Start) -> None:
    ingress = await start_ingress()
    reached, go_on = ingress.hold_submit()
    client = await ingress.connect()
    await client.into_data()
    client.write(b"x\r\n.\r\n")
    await reached.wait()
    client.writer.transport.abort()
    await (await ingress.connect()).reply()  # by now the loop has seen that the first one is gone
    go_on.set()
    await ingress.stop()
    assert len(ingress.queued) == 1


async def test_stopping_lets_data_finish(start_ingress: Start) -> None:
    ingress = await start_ingress()
    idle, busy = await ingress.connect(), await ingress.connect()
    await idle.reply()
    await busy.into_data()
    busy.write(b"Subject: x\r\n")
    ingress.stopping.set()
    assert await idle.reply() == "421 4.3.2 Service shutting down, try again later"
    assert await idle.line() == ""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", ingress.port)
    busy.write(b"\r\nrest\r\n.\r\nNOOP\r\n")
    assert (await busy.reply()).startswith("250 2.0.0 Ok: queued as")
    assert await busy.reply() == "421 4.3.2 Service shutting down, try again later"
    await ingress.task
    assert len(ingress.queued) == 1


async def test_stopping_does_not_wait_for_ever(start_ingress: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role, "GRACE", 0.05)
    ingress = await start_ingress()
    client = await ingress.connect()
    await client.into_data()
    ingress.stopping.set()
    await ingress.task
    assert await client.line() == "421 4.3.2 Service shutting down, try again later"
    assert await client.line() == ""
    assert not ingress.queued
