"""TLS on real connections: how it begins, fails, and ends."""

import asyncio
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from tls_support import client_context, write_certificate

from smtpd_ingress import wire

Start = Callable[..., Any]
Keys = dict[str, str]
HOST = "mta1.example.net"
BYE = "421 4.3.2 Service shutting down, try again later"


@pytest.fixture(params=["starttls", "implicit"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def connect(ingress: Any, kind: str) -> Any:
    """A client after the handshake; with implicit TLS the greeting is still to come."""
    if kind == "implicit":
        return await ingress.connect(ssl=client_context())
    client = await ingress.connect()
    await client.reply()
    await client.say("EHLO c.example")
    assert await client.say("STARTTLS") == "220 2.0.0 Ready to start TLS"
    await client.start_tls()
    return client


async def test_smtplib(start_ingress: Start, certificate: Keys, kind: str) -> None:
    ingress = await start_ingress(tls=kind, **certificate)
    context = client_context(certificate["tls_cert"])

    def send() -> None:
        made = smtplib.SMTP_SSL if kind == "implicit" else smtplib.SMTP
        options = {"context": context} if kind == "implicit" else {}
        client = made(**options)  # type: ignore[arg-type]
        client._host = HOST  # type: ignore[attr-defined]  whom the certificate must be for
        client.connect("127.0.0.1", ingress.port)
        with client:
            if kind == "starttls":
                client.starttls(context=context)
            client.sendmail("a@example.org", ["b@example.com"], "Subject: x\n\nhello\n")

    await asyncio.to_thread(send)
    [queued] = ingress.queued
    assert (queued.row.tls_version, queued.row.tls_cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    header, _, _ = queued.content.partition(b"Subject:")
    assert b"(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384)\r\n\tby " in header
    assert b" with ESMTPS id " in header


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_tls_1_2_is_the_least(start_ingress: Start, certificate: Keys) -> None:
    ingress = await start_ingress(tls="implicit", **certificate)
    old = client_context()
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)), structlog.testing.capture_logs() as logs:
        await ingress.connect(ssl=old)
    assert [line["event"] for line in logs if "SSL" in line["event"]] == [
        "SSL_accept error from [127.0.0.1]: UNSUPPORTED_PROTOCOL"
    ]
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    client = await ingress.connect(ssl=old)
    assert (await client.reply()).startswith("220 ")


async def test_large_messages_both_ways_of_framing(start_ingress: Start, certificate: Keys, kind: str) -> None:
    ingress = await start_ingress(tls=kind, **certificate)
    client = await connect(ingress, kind)
    if kind == "starttls":
        client.write(b"NOOP\r\n")
    await client.into_data()
    client.write(b"Subject: x\r\n\r\n" + 60_000 * b"0123456789012345678901234567890123456789\r\n" + b".\r\n")
    assert (await client.reply()).startswith("250 2.0.0 ")
    assert len(ingress.queued[0].content) > 60_000 * 42


@pytest.mark.parametrize("said", ["", "NOOP\r\n", "\x16\x03\x01\x00\xff rest of it"])
async def test_a_client_that_never_shakes_hands(
    start_ingress: Start, certificate: Keys, kind: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says in clear after the 220, in a segment of its own too, is no command."""
    monkeypatch.setattr(wire, "HANDSHAKE_TIMEOUT", 0.1)
    ingress = await start_ingress(tls=kind, **certificate)
    client = await ingress.connect()
    with structlog.testing.capture_logs() as logs:
        if kind == "starttls":
            await client.reply()
            await client.say("STARTTLS")
        client.write(said.encode("latin-1"))
        rest = await asyncio.wait_for(client.reader.read(), 10)
    assert b"250" not in rest  # at most a TLS alert
    refused = [line["event"] for line in logs if "SSL" in line["event"]]
    assert len(refused) == 1
    why = {"": "SSL handshake is taking longer than 0.1 seconds", "NOOP\r\n": "WRONG_VERSION_NUMBER"}
    assert refused[0].startswith(f"SSL_accept error from [127.0.0.1]: {why.get(said, 'SSL handshake is taking')}")
    monkeypatch.undo()
    await _is_well(ingress, kind)


async def test_commands_that_were_read_with_starttls_outside_the_dialogue(
    start_ingress: Start, certificate: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie in the reader, where neither the dialogue nor TLS would see them."""
    monkeypatch.setattr(wire, "CHUNK", len("STARTTLS\r\n"))
    ingress = await start_ingress(**certificate)
    client = await ingress.connect()
    await client.reply()
    client.write(b"STARTTLS\r\nRSET\r\n")
    lines = [line async for line in client.until_closed()]
    assert lines == ["554 5.5.0 Commands after STARTTLS came before TLS"]
    assert ingress.rejections[-1].phase == "starttls"


async def test_a_client_that_leaves_during_the_handshake(start_ingress: Start, certificate: Keys, kind: str) -> None:
    ingress = await start_ingress(tls=kind, **certificate)
    for abort in (False, True):
        client = await ingress.connect()
        if kind == "starttls":
            await client.reply()
            await client.say("STARTTLS")
        client.write(b"\x16\x03\x01\x00\xff")
        if abort:
            client.writer.transport.abort()
        else:
            client.writer.write_eof()
            await asyncio.wait_for(client.reader.read(), 10)
    await _is_well(ingress, kind)


async def test_a_client_that_closes_its_side_with_starttls(start_ingress: Start, certificate: Keys) -> None:
    """Nothing can come any more: nobody waits for it."""
    ingress = await start_ingress(**certificate)
    client = await ingress.connect()
    await client.reply()
    client.write(b"STARTTLS\r\n")
    client.writer.write_eof()
    assert [line async for line in client.until_closed()] == ["220 2.0.0 Ready to start TLS"]


async def test_nothing_is_left_of_a_handshake_that_failed(
    start_ingress: Start, certificate: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "IDLE_TIMEOUT", 0.5)
    monkeypatch.setattr(wire, "HANDSHAKE_TIMEOUT", 0.1)
    ingress = await start_ingress(tls="implicit", **certificate)
    first = await ingress.connect()
    await first.reader.read()
    monkeypatch.setattr(wire, "HANDSHAKE_TIMEOUT", 30)
    second = await ingress.connect()
    with structlog.testing.capture_logs() as logs:
        assert await second.line() == ""
    timeouts = [line["event"] for line in logs if line["event"].startswith("timeout")]
    assert timeouts == ["timeout from [127.0.0.1]"]  # the other's timer began earlier


async def test_a_handshake_under_way_counts_and_ends_with_the_server(
    start_ingress: Start, certificate: Keys, kind: str
) -> None:
    ingress = await start_ingress(tls=kind, max_connections=1, **certificate)
    client = await ingress.connect()
    if kind == "starttls":
        await client.reply()
        await client.say("STARTTLS")
    other = await ingress.connect()
    assert await other.line() == ("421 4.3.2 Too many connections, try again later" if kind == "starttls" else "")
    ingress.stopping.set()
    await asyncio.wait_for(ingress.task, 10)
    assert b"421" not in await client.reader.read()


async def test_421_while_draining(start_ingress: Start, certificate: Keys, kind: str) -> None:
    """Inside TLS; a client that does not answer the end of TLS does not keep the server from ending."""
    ingress = await start_ingress(tls=kind, **certificate)
    idle, deaf, busy = [await connect(ingress, kind) for _ in range(3)]
    if kind == "implicit":
        await idle.reply()
        await deaf.reply()
    else:
        busy.write(b"NOOP\r\n")
    deaf.writer.transport.pause_reading()
    await busy.into_data()
    busy.write(b"Subject: x\r\n")
    ingress.stopping.set()
    assert await idle.reply() == BYE
    assert await idle.line() == ""
    busy.write(b"\r\nrest\r\n.\r\nNOOP\r\n")
    assert (await busy.reply()).startswith("250 2.0.0 Ok: queued as")
    assert await busy.reply() == BYE
    await asyncio.wait_for(ingress.task, 10)
    deaf.writer.transport.resume_reading()
    assert await deaf.reply() == BYE
    assert await deaf.line() == ""
    assert len(ingress.queued) == 1


async def test_a_client_may_leave_after_the_dot(start_ingress: Start, certificate: Keys, kind: str) -> None:
    ingress = await start_ingress(tls=kind, **certificate)
    client = await connect(ingress, kind)
    client.write(b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n")
    await client.writer.drain()
    client.writer.close()
    while not ingress.queued:
        await asyncio.sleep(0.01)


async def test_a_new_certificate_is_used_at_once(
    start_ingress: Start, tmp_path: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpd_ingress.tls.LOOK_EVERY", 0)
    ingress = await start_ingress(tls=kind, **write_certificate(tmp_path, HOST))
    seen = []
    for _ in range(2):
        client = await connect(ingress, kind)
        seen.append(client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        expected = ssl.PEM_cert_to_DER_cert((tmp_path / "cert.pem").read_text())
        assert seen[-1] == expected
        write_certificate(tmp_path, HOST)
    assert seen[0] != seen[1]


async def test_openssl(start_ingress: Start, certificate: Keys, kind: str) -> None:
    """As operators look at it."""
    ingress = await start_ingress(tls=kind, **certificate)
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{ingress.port}", "-CAfile", certificate["tls_cert"],
               "-verify_return_error", "-verify_hostname", HOST,
               *(["-starttls", "smtp"] if kind == "starttls" else [])]  # fmt: skip
    said = b"EHLO c\r\nQUIT\r\n"
    done = await asyncio.to_thread(subprocess.run, command, input=said, capture_output=True, timeout=20)
    for shown in ("Verify return code: 0 (ok)", "Compression: NONE", "TLSv1.3"):
        assert shown in done.stdout.decode()


async def _is_well(ingress: Any, kind: str) -> None:
    """Another client is served, and nobody else is counted as connected."""
    client = await connect(ingress, kind)
    assert (await client.say("NOOP")).startswith("220 " if kind == "implicit" else "250 ")
