"""Mail programs as clients, over TLS that they verify, logged in: Postfix, Exim, msmtp, curl, smtplib, swaks."""

import asyncio
import re
import smtplib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from clients_support import PASSWORD, USER, Door, Postfix, exim, msmtp, run
from packages_support import NEEDS_CLIENTS, NEEDS_POSTFIX
from scenario_support import SENDER, environment, story
from support import until
from tls_support import client_context, write_certificate

from bench.measuring import workplace
from master.demo.generator import make_message, send_all
from master.demo.sink import EXTENSIONS, Sink
from master.demo.sink_mail import Mail
from master.demo.world import HOSTNAME, World
from master.sockets import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: What a program may trip over: dots, a long line, 8 bits, empty lines at the end.
BODY = b"\r\n.one dot\r\n..two\r\n.\r\nGr\xc3\xbc\xc3\x9fe " + b"x" * 900 + b"\r\n\r\n\r\n"
MESSAGE = b"From: <news@sender.test>\r\nTo: <r@a.test>\r\nDate: Fri, 21 Nov 2025 12:00:00 +0000\r\n" + BODY
DSN_MAIL, DSN_RCPT = ["RET=HDRS", "ENVID=QQ+2B1"], ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;You+2B@A.test"]
_SENT = re.compile(r"to=<([^>]+)>.*status=sent \(250 2\.0\.0 Ok: queued as (\w+)\)")
LOGIN = ("--auth-user", USER, "--auth-password", PASSWORD)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Takes mail only from who has logged in, and passes DSN parameters on."""
    folder = tmp_path_factory.mktemp("world")
    keys = write_certificate(folder, HOSTNAME)
    strict = {"networks": [], "auth": "required", **keys}
    implicit = {"name": "implicit", "bind": f"127.0.0.1:{free_port()}", "tls": "implicit", **strict}
    async with World(folder, sinks=1, settings={"listener": strict, "listeners": [implicit]}) as world:
        world.sinks[0].extensions = (*EXTENSIONS, "DSN")
        world.add_domain("a.test")
        world.add_domain("smtps.test")
        config = ("--config", str(world.config_file))
        add = (sys.executable, "-m", "master", *config, "user", "add", USER, "--password-stdin")
        await run(*add, given=PASSWORD.encode(), environment=environment())
        yield world


@pytest.fixture
def door(world: World) -> Door:
    implicit = next(one for one in world.config.listeners if one.name == "implicit")
    return Door(starttls=world.smtp_port, implicit=int(implicit.bind.rpartition(":")[2]), cert=Path(implicit.tls_cert))


@pytest.fixture
def sink(world: World) -> Sink:
    """Has received nothing yet."""
    world.sinks[0].received.clear()
    world.sinks[0].mails = 0
    return world.sinks[0]


async def arrived(world: World, sink: Sink) -> Mail:
    """The one mail that has come: over TLS, from who has logged in, and as it was sent."""
    await sink.wait_for(1)
    [mail] = sink.received
    assert b" with ESMTPSA id " in mail.content
    assert mail.content.endswith(BODY)
    return mail


async def said(world: World, text: str) -> None:
    """Wait for a line of Postjet's log."""
    await until(lambda: text in world.log_file.read_text())


@NEEDS_POSTFIX
async def test_postfix(world: World, sink: Sink, door: Door) -> None:
    many = [f"r{number}@a.test" for number in range(50)]
    with workplace() as folder:
        client = Postfix(folder, door)
        try:
            await client.start()
            await asyncio.to_thread(_to_postfix, client.port, ["You+@a.test"], DSN_MAIL, DSN_RCPT)
            await asyncio.to_thread(_to_postfix, client.port, ["r@smtps.test"])
            await asyncio.to_thread(_to_postfix, client.port, many)
            single = [f"s{number}@{domain}" for domain in ("a.test", "smtps.test") for number in range(25)]
            mails = [(SENDER, [one], make_message(2000, sender=SENDER)) for one in single]
            assert {outcome.code for outcome in await send_all(mails, "127.0.0.1", client.port, 10)} == {250}
            await until(lambda: len(_SENT.findall(client.log())) == 102)
        finally:
            await client.stop()
        log = client.log()
    assert log.count("Verified TLS connection established to 127.0.0.1") >= 2
    [submission] = {queued for to, queued in _SENT.findall(log) if to in many}
    rows = await story(world, submission, "delivered", 50)
    assert sorted(rows[0]["recipients"]) == sorted(many)
    assert all(b" with ESMTPSA id " in mail.content for mail in sink.received)
    [noted] = [mail for mail in sink.received if mail.recipients == ("You+@a.test",)]
    mail, rcpt = noted.commands
    assert {*DSN_MAIL} <= {*mail.split()}
    assert {*DSN_RCPT} <= {*rcpt.split()}


def _to_postfix(port: int, recipients: list[str], mail: list[str] | None = None, rcpt: list[str] | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", port, "client.test") as client:
        assert client.sendmail(SENDER, recipients, MESSAGE, mail or [], rcpt or []) == {}


@NEEDS_CLIENTS
@pytest.mark.parametrize(("protocol", "hello"), [("smtp", "ehlo=2 starttls=1"), ("smtps", "ehlo=1")])
async def test_exim_sends_bdat(world: World, sink: Sink, door: Door, protocol: str, hello: str) -> None:
    with workplace() as folder:
        log = await exim(folder, door, protocol, SENDER, "r@a.test", MESSAGE)
    assert ' K C="250 2.0.0 Ok: queued as ' in log
    await arrived(world, sink)
    await said(world, f"disconnect from [127.0.0.1] {hello} auth=1 mail=1 rcpt=1 bdat=1 quit=1")


@NEEDS_CLIENTS
@pytest.mark.parametrize("method", ["plain", "login", "scram-sha-256"])
async def test_msmtp(world: World, sink: Sink, door: Door, method: str) -> None:
    starttls = method != "login"
    await msmtp(
        "--host=127.0.0.1", f"--port={door.starttls if starttls else door.implicit}", "--tls=on",
        f"--tls-starttls={'on' if starttls else 'off'}", f"--tls-trust-file={door.cert}",
        f"--tls-host-override={HOSTNAME}", f"--auth={method}", f"--user={USER}", f"--passwordeval=echo {PASSWORD}",
        f"--from={SENDER}", "--dsn-notify=success,delay", "--dsn-return=headers", "r@a.test", given=MESSAGE,
    )  # fmt: skip
    mail = await arrived(world, sink)
    assert "RET=HDRS" in mail.commands[0]
    assert "NOTIFY=SUCCESS,DELAY" in mail.commands[1]


@pytest.mark.parametrize("options", ["AUTH=PLAIN", "AUTH=LOGIN", ""])
async def test_curl(world: World, sink: Sink, door: Door, options: str) -> None:
    scheme, port = ("smtp", door.starttls) if options else ("smtps", door.implicit)
    await run(
        "curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", str(door.cert), "--user", f"{USER}:{PASSWORD}",
        "--resolve", f"{HOSTNAME}:{port}:127.0.0.1", "--mail-from", SENDER, "--mail-rcpt", "r@a.test",
        "--upload-file", "-", *(("--login-options", options) if options else ()), f"{scheme}://{HOSTNAME}:{port}",
        given=MESSAGE,
    )  # fmt: skip
    await arrived(world, sink)


async def test_smtplib(world: World, sink: Sink, door: Door) -> None:
    def send() -> None:
        with smtplib.SMTP("127.0.0.1", door.starttls, "client.test") as client:
            client._host = HOSTNAME  # type: ignore[attr-defined] # what it verifies
            client.starttls(context=client_context(str(door.cert)))
            client.login(USER, PASSWORD)
            assert client.sendmail(SENDER, ["r@a.test"], MESSAGE, DSN_MAIL, DSN_RCPT) == {}

    await asyncio.to_thread(send)
    mail = await arrived(world, sink)
    assert {*DSN_MAIL} <= {*mail.commands[0].split()}
    assert {*DSN_RCPT} <= {*mail.commands[1].split()}


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ("-tls --auth PLAIN", "ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"),
        ("-tls --auth LOGIN --pipeline", "ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"),
        ("-tls --auth PLAIN --quit-after RCPT", "ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 quit=1 commands=7"),
        ("--tls-on-connect --auth LOGIN", "ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6"),
    ],
)
async def test_swaks(world: World, sink: Sink, door: Door, tmp_path: Path, options: str, counts: str) -> None:
    file, before = tmp_path / "message", len(world.log_file.read_text())
    file.write_bytes(MESSAGE.replace(b"\r\n", b"\n").removesuffix(b"\n"))  # swaks makes them CRLF, and adds the last
    port = door.implicit if "on-connect" in options else door.starttls
    await run(
        "swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "client.test", "--from", SENDER,
        "--to", "r@a.test", "--data", f"@{file}", *LOGIN, *options.split(),
    )  # fmt: skip
    await until(lambda: "disconnect from" in world.log_file.read_text()[before:])
    log = world.log_file.read_text()[before:]
    assert f"disconnect from [127.0.0.1] {counts}" in log
    assert PASSWORD not in log
    if "quit-after" not in options:
        await arrived(world, sink)


async def test_swaks_sends_50_mb(world: World, sink: Sink, door: Door, tmp_path: Path) -> None:
    file, size = tmp_path / "message", 49_000_000
    file.write_bytes(make_message(size, sender=SENDER).replace(b"\r\n", b"\n"))
    await run(
        "swaks", "--server", "127.0.0.1", "--port", str(door.starttls), "-tls", "--auth", "PLAIN", *LOGIN,
        "--from", SENDER, "--to", "r@a.test", "--data", f"@{file}", "--silent", "2",
    )  # fmt: skip
    await sink.wait_for(1, 30)
    assert len(sink.received[0].content) > size
