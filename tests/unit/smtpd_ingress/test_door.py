"""Who is let in, on real connections."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from tls_support import client_context

from smtpd_ingress import door, wire

Start = Callable[..., Any]
#: Ours: whoever connects from another address of loopback is a stranger.
OURS = ["127.0.0.1/32"]
TOO_MANY = "421 4.7.0 Too many connections from your address, try again later"
PROXY = b"PROXY TCP4 127.0.0.1 192.0.2.1 12345 25\r\n"


async def test_connections_of_one_client(start_ingress: Start) -> None:
    ingress = await start_ingress(networks=OURS, client_connections=1)
    stranger = await ingress.connect("127.0.0.2")
    assert (await stranger.reply()).startswith("220 ")
    refused = await ingress.connect("127.0.0.2")
    assert [line async for line in refused.until_closed()] == [TOO_MANY]
    assert (ingress.rejections[0].phase, ingress.rejections[0].client_address) == ("connect", "127.0.0.2")
    assert (await (await ingress.connect("127.0.0.3")).reply()).startswith("220 ")
    for _ in range(3):
        assert (await (await ingress.connect()).reply()).startswith("220 ")
    assert await stranger.say("QUIT") == "221 2.0.0 Bye"
    assert await stranger.line() == ""
    assert (await (await ingress.connect("127.0.0.2")).reply()).startswith("220 ")


async def test_who_may_say_xclient_speaks_for_many(start_ingress: Start) -> None:
    ingress = await start_ingress(networks=OURS, xclient=["127.0.0.2"], client_connections=1)
    for _ in range(3):
        assert (await (await ingress.connect("127.0.0.2")).reply()).startswith("220 ")


async def test_whom_xclient_names_counts_as_if_it_had_connected_itself(start_ingress: Start) -> None:
    ingress = await start_ingress(networks=OURS, xclient=["127.0.0.2"], client_connections=1)
    proxies = [await ingress.connect("127.0.0.2") for _ in range(4)]
    for proxy in proxies:
        await proxy.reply()
        await proxy.say("EHLO proxy.example")
    first, second, ours, again = proxies
    assert (await first.say("XCLIENT ADDR=127.0.0.3")).startswith("220 ")
    assert (await first.say("XCLIENT HELO=c.example")).startswith("220 ")
    assert await (await ingress.connect("127.0.0.3")).reply() == TOO_MANY
    second.write(b"XCLIENT ADDR=127.0.0.3\r\n")
    assert [line async for line in second.until_closed()] == [TOO_MANY]
    assert {rejection.client_address for rejection in ingress.rejections} == {"127.0.0.3"}
    for _ in range(2):
        assert (await ours.say("XCLIENT ADDR=127.0.0.1")).startswith("220 ")
    assert (await first.say("XCLIENT ADDR=127.0.0.4")).startswith("220 ")
    assert (await again.say("XCLIENT ADDR=127.0.0.3")).startswith("220 ")


async def test_connections_a_minute(start_ingress: Start) -> None:
    ingress = await start_ingress(networks=OURS, client_rate=2)
    replies = [await (await ingress.connect("127.0.0.2")).reply() for _ in range(3)]
    assert [reply[:9] for reply in replies] == ["220 mta1.", "220 mta1.", "421 4.7.0"]


async def test_the_longest_silent_stranger_leaves_for_another(start_ingress: Start) -> None:
    ingress = await start_ingress(networks=OURS, max_connections=2)
    first, second = await ingress.connect("127.0.0.2"), await ingress.connect("127.0.0.3")
    await first.reply()
    await second.reply()
    assert (await first.say("NOOP")).startswith("250 ")
    assert (await (await ingress.connect()).reply()).startswith("220 ")
    assert await second.reply() == "421 4.7.0 Too busy to wait for you, try again later"
    assert await second.line() == ""
    assert (await first.say("NOOP")).startswith("250 ")


async def test_who_is_being_queued_stays(start_ingress: Start) -> None:
    ingress = await start_ingress(networks=OURS, max_connections=1, postmaster="pm@example.net")
    reached, go_on = ingress.hold_submit()
    client = await ingress.connect("127.0.0.2")
    await client.into_data("postmaster")
    client.write(b"x\r\n.\r\n")
    await reached.wait()
    other = await ingress.connect("127.0.0.3")
    assert await other.reply() == "421 4.3.2 Too many connections, try again later"
    go_on.set()
    assert (await client.reply()).startswith("250 2.0.0 Ok: queued")
    assert (await (await ingress.connect("127.0.0.3")).reply()).startswith("220 ")
    assert (await client.reply()).startswith("421 4.7.0 ")


async def test_a_silent_stranger_is_sent_away_sooner(start_ingress: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    ingress = await start_ingress(networks=OURS, postmaster="pm@example.net")
    ours, in_mail = [await ingress.connect(f"127.0.0.{n}") for n in (1, 2)]
    for client in (ours, in_mail):
        await client.reply()
    await in_mail.say("EHLO c")
    assert (await in_mail.say("MAIL FROM:<>")).startswith("250 ")
    monkeypatch.setattr(wire, "STRANGER_TIMEOUT", 0.05)
    stranger = await ingress.connect("127.0.0.3")
    assert [line async for line in stranger.until_closed()][1:] == ["421 4.4.2 Idle for too long, closing connection"]
    assert (await ours.say("NOOP")).startswith("250 ")
    assert (await in_mail.say("RCPT TO:<postmaster>")).startswith("250 ")


async def test_a_client_behind_a_proxy_is_who_counts(start_ingress: Start) -> None:
    ingress = await start_ingress(networks=OURS, proxy=["127.0.0.9"], client_connections=1)
    for number in (2, 3, 2):
        client = await ingress.connect("127.0.0.9")
        client.write(b"PROXY TCP4 198.51.100.%d 192.0.2.1 12345 25\r\n" % number)
        last = await client.reply()
    assert last == TOO_MANY
    assert ingress.rejections[0].client_address == "198.51.100.2"
    client = await ingress.connect("127.0.0.9")
    client.write(PROXY + b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\n")
    assert [(await client.reply())[:3] for _ in range(4)] == ["220", "250", "250", "250"]  # trusted by its address


async def test_a_proxy_in_pieces(start_ingress: Start) -> None:
    ingress = await start_ingress(proxy=OURS)
    client = await ingress.connect()
    for byte in PROXY:
        client.write(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.reply()).startswith("220 ")


@pytest.mark.parametrize("together", [True, False])
async def test_proxy_before_implicit_tls(start_ingress: Start, certificate: dict[str, str], together: bool) -> None:
    """A proxy may send its header and what the client said first in one segment."""
    ingress = await start_ingress(tls="implicit", proxy=OURS, **certificate)
    client = await ingress.connect()
    if together:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context().wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client.write(PROXY + outgoing.read())
        while not tls.version() or outgoing.pending:
            incoming.write(await asyncio.wait_for(client.reader.read(65536), 10))
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            client.write(outgoing.read())
        while True:
            try:
                said = tls.read()
                break
            except ssl.SSLWantReadError:
                incoming.write(await asyncio.wait_for(client.reader.read(65536), 10))
        assert said.startswith(b"220 ")
    else:
        client.write(PROXY)
        await client.start_tls()
        assert (await client.reply()).startswith("220 ")


async def test_a_proxy_that_says_nothing(start_ingress: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PROXY_TIMEOUT", 0.05)
    ingress = await start_ingress(proxy=OURS)
    with structlog.testing.capture_logs() as logs:
        client = await ingress.connect()
        assert await client.line() == ""
    assert logs[-1]["event"] == "PROXY: [127.0.0.1]: no PROXY header within 0s"


async def test_proxies_that_say_nothing_are_bounded(start_ingress: Start) -> None:
    ingress = await start_ingress(proxy=OURS, max_connections=2)
    first, _, third = [await ingress.connect() for _ in range(3)]
    assert await third.line() == ""
    first.write(PROXY)
    assert (await first.reply()).startswith("220 ")


async def test_stopping_answers_who_is_at_the_door(start_ingress: Start) -> None:
    ingress = await start_ingress(proxy=OURS)
    client = await ingress.connect()
    await ingress.connect()  # by now the loop has taken the first
    ingress.stopping.set()
    assert await client.line() == "421 4.3.2 Service shutting down, try again later"
    await asyncio.wait_for(ingress.task, 10)
