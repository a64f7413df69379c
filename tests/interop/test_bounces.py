"""Real bounces: mail systems of Debian take our mail, fail to deliver it, and tell our return path."""

import asyncio
import email
import pwd
import shutil
import smtplib
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from clients_support import run
from feedback_support import DOMAIN, SETTINGS, STRANGER
from packages_support import NEEDS_CLIENTS, NEEDS_OPENSMTPD, NEEDS_POSTFIX, NEEDS_SENDMAIL
from relays_support import FAR, OPENSMTPD, SENDMAIL, opensmtpd, sendmail
from scenario_support import story, types
from support import until

from bench import packages, postfix
from bench.measuring import workplace
from master.demo.generator import make_message
from master.demo.sink_script import Rule
from master.demo.world import HOSTNAME, World

pytestmark = pytest.mark.asyncio(loop_scope="module")
WRITER = "writer@writer.test"
_EXIM_USER, _EXIM_ADDRESS = "Debian-exim", "127.0.3.2"
_EXIM = """\
primary_hostname = exim.test
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
keep_environment = ^LD_ : ^NSS_
tls_advertise_hosts =
local_interfaces = {address}
daemon_smtp_ports = {mx_port}
pid_file_path = {folder}/exim.pid
acl_smtp_rcpt = take
dsn_advertise_hosts = *
queue_only

begin acl
take:
  accept

begin routers
back:
  driver = manualroute
  domains = {domain}
  transport = back
  route_list = * 127.0.0.1::{smtp_port}
  self = send
  no_more
on:
  driver = manualroute
  transport = on
  route_list = * 127.0.0.2::{mx_port}
  self = send

begin transports
back:
  driver = smtp
  interface = {stranger}
on:
  driver = smtp
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Its sink is the writer's mailbox, and knows nobody at the domains that the others deliver to."""
    async with World(tmp_path_factory.mktemp("world"), sinks=1, settings=SETTINGS) as world:
        hosts = {"postfix": "127.0.0.1", "exim": _EXIM_ADDRESS, "sendmail": SENDMAIL, "opensmtpd": OPENSMTPD}
        for name, address in hosts.items():
            world.dns.zone.add(f"mx.{name}.test", "A", address)
            world.dns.zone.add(f"{name}.test", "MX", f"10 mx.{name}.test.")
            refusal = Rule(phase="rcpt", recipient=f"{name}.test", reply="550 5.1.1 No such user here")
            world.sinks[0].rules.append(refusal)
        world.sinks[0].rules.append(Rule(phase="rcpt", recipient=FAR, reply="550 5.1.1 No such user here"))
        world.add_domain("writer.test", world.sinks[0])
        yield world


class Postfix(postfix.Postfix):
    """The MX host of postfix.test, which delivers to a server that refuses."""

    def __init__(self, folder: Path, world: World) -> None:
        super().__init__(folder, world.mx_port, folder / "none")
        self.port, self._smtp_port = world.mx_port, world.smtp_port

    def _prepare(self) -> None:
        super()._prepare()
        routes = f"postfix.test smtp:[127.0.0.2]:{self.mx_port}\n{DOMAIN} smtp:[127.0.0.1]:{self._smtp_port}\n"
        (self.folder / "etc/transport").write_text(routes)
        with (self.folder / "etc/main.cf").open("a") as file:
            file.write(f"smtp_bind_address = {STRANGER}\n")


def send(world: World, recipient: str) -> str:
    """Send a mail to one recipient; its submission's id."""
    message = make_message(1000, sender=WRITER, recipient=recipient)
    with smtplib.SMTP("127.0.0.1", world.smtp_port, "client.test") as client:
        client.ehlo()
        assert client.mail(WRITER, ["ENVID=Q1"])[0] == 250
        assert client.rcpt(recipient, [f"ORCPT=rfc822;{recipient}"])[0] == 250
        code, text = client.data(message)
    assert code == 250
    return text.decode().rpartition(" ")[2]


async def listens(host: str, port: int) -> bool:
    """Whether somebody does."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def check(world: World, submission: str, recipient: str, mta: str, **differs: Any) -> None:
    """The bounce of a mail was matched to its delivery, and went on to its writer; ``differs``: values of its row."""
    rows = await story(world, submission, "dsn")
    assert types(rows)[:3] == ["accepted", "delivered", "dsn"]
    row = rows[2]
    expected: dict[str, Any] = {
        "delivery": f"{submission}-1", "sender": WRITER, "recipient": recipient, "phase": "return-path",
        "reason": "failed", "code": 550, "enhanced_code": "5.1.1", "bounce_type": "hard",
        "bounce_class": "invalid-recipient", "mx_address": STRANGER,
    } | differs  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    sink = world.sinks[0]
    await until(lambda: any(submission.encode() in mail.content for mail in sink.received))
    [mail] = [mail for mail in sink.received if submission.encode() in mail.content]
    assert (mail.sender, mail.recipients) == ("", (WRITER,))
    status = next(part for part in email.message_from_bytes(mail.content).walk()
                  if part.get_content_type() == "message/delivery-status")  # fmt: skip
    of_message, of_recipient = status.get_payload()
    assert mta in of_message["Reporting-MTA"]
    assert of_message["Original-Envelope-Id"] in ("Q1", None)
    assert of_recipient["Final-Recipient"].endswith(recipient)


@NEEDS_POSTFIX
async def test_postfix(world: World) -> None:
    recipient = "nobody@postfix.test"
    with workplace() as folder:
        server = Postfix(folder, world)
        try:
            await server.start()
            submission = await asyncio.to_thread(send, world, recipient)
            await check(world, submission, recipient, HOSTNAME)
        finally:
            await server.stop()


@NEEDS_CLIENTS
async def test_exim(world: World) -> None:
    recipient = "nobody@exim.test"
    with workplace() as folder:
        # what writes a bounce is no more root, and starts Exim again: a copy that all may run, and makes nobody root
        root = folder / "root"
        for part in ("usr/sbin", "usr/lib"):
            shutil.copytree(packages.CACHE / "clients" / part, root / part, symlinks=True)
        (root / "usr/sbin/exim4").chmod(0o755)
        program = str(root / "usr/sbin/exim4")
        config, users, groups = folder / "exim.conf", folder / "passwd", folder / "group"
        names = {"program": program, "folder": folder, "domain": DOMAIN, "stranger": STRANGER, "address": _EXIM_ADDRESS}
        config.write_text(_EXIM.format(mx_port=world.mx_port, smtp_port=world.smtp_port, **names))
        shutil.chown(folder, postfix.OWNER)
        owner = pwd.getpwnam(postfix.OWNER)
        users.write_text(f"root:x:0:0::/:/bin/sh\n{_EXIM_USER}:x:{owner.pw_uid}:{owner.pw_gid}::/:/bin/sh\n")
        groups.write_text(f"root:x:0:\n{_EXIM_USER}:x:{owner.pw_gid}:\n")
        environment = packages.environment(root) | {
            "LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": str(users), "NSS_WRAPPER_GROUP": str(groups)
        }  # fmt: skip
        daemon = subprocess.Popen([program, "-C", str(config), "-bdf"], env=environment, stdin=subprocess.DEVNULL)
        try:
            await until(lambda: listens(_EXIM_ADDRESS, world.mx_port))
            submission = await asyncio.to_thread(send, world, recipient)
            await story(world, submission, "delivered")
            for _ in range(2):  # the mail, then its bounce: what takes mail in has given up root, and delivers none
                await run(program, "-C", str(config), "-q", environment=environment)
            await check(world, submission, recipient, "exim.test")
        finally:
            daemon.terminate()
            await asyncio.to_thread(daemon.wait)


@pytest.mark.parametrize(
    ("running", "address", "recipient", "bounce_type"),
    [
        pytest.param(sendmail, SENDMAIL, "team@sendmail.test", "soft", marks=NEEDS_SENDMAIL),  # leads to nobody
        pytest.param(opensmtpd, OPENSMTPD, "nobody@opensmtpd.test", "hard", marks=NEEDS_OPENSMTPD),
    ],
)
async def test_relays(
    world: World, running: Callable[..., AbstractContextManager[None]], address: str, recipient: str, bounce_type: str
) -> None:
    ports = {"mx_port": world.mx_port, "smtp_port": world.smtp_port}
    with workplace() as folder, running(folder, domain=DOMAIN, stranger=STRANGER, **ports):
        await until(lambda: listens(address, world.mx_port))
        submission = await asyncio.to_thread(send, world, recipient)
        await check(world, submission, recipient, recipient.partition("@")[2], bounce_type=bounce_type)
