"""Debian's Postfix gives Postjet all its mail over TLS that it insists on, STARTTLS or implicit, and verifies."""

import asyncio
from pathlib import Path

from packages_support import NEEDS_POSTFIX
from scenario_support import SENDER
from support import until
from tls_support import write_certificate

from bench import postfix
from bench.measuring import workplace
from master.demo.generator import make_message, send_all
from master.demo.world import HOSTNAME, World
from master.sockets import free_port

pytestmark = NEEDS_POSTFIX

MAILS = 50
_SETTINGS = """\
relayhost = [127.0.0.1]:{port}
smtp_tls_loglevel = 1
smtp_tls_CAfile = {folder}/cert.pem
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = {hostname}
"""
_WRAPPED = {"starttls": "", "implicit": "smtp_tls_wrappermode = yes\n"}


class Client(postfix.Postfix):
    """Gives all mail to the relayhost on ``mx_port``."""

    kind = "starttls"

    def _prepare(self) -> None:
        super()._prepare()
        file = self.folder / "etc/main.cf"
        lines = [line for line in file.read_text().splitlines(keepends=True) if not line.startswith("smtp_tls_")]
        ours = _SETTINGS.format(port=self.mx_port, folder=self.folder, hostname=HOSTNAME)
        file.write_text("".join(lines) + ours + _WRAPPED[self.kind])


async def test_it_encrypts_and_verifies(tmp_path: Path) -> None:
    keys, port = write_certificate(tmp_path, HOSTNAME), free_port()
    implicit = {"name": "implicit", "bind": f"127.0.0.1:{port}", "tls": "implicit", **keys}
    async with World(tmp_path, sinks=1, settings={"listener": keys, "listeners": [implicit]}) as world:
        world.add_domain("a.test")
        for kind, at in (("starttls", world.smtp_port), ("implicit", port)):
            with workplace() as folder:
                client = Client(folder, at, tmp_path)
                client.kind = kind
                (folder / "cert.pem").write_bytes((tmp_path / "cert.pem").read_bytes())
                await _relay(client, world, kind)
        assert len(world.sinks[0].received) == 2 * MAILS
        assert all(b" with ESMTPS id " in mail.content for mail in world.sinks[0].received)


async def _relay(client: Client, world: World, kind: str) -> None:
    """Some mails through Postfix, as many at once as it likes."""
    try:
        await client.start()
        mails = [(SENDER, [f"{kind}{n}@a.test"], make_message(2000, sender=SENDER)) for n in range(MAILS)]
        outcomes = await send_all(mails, "127.0.0.1", client.port, 10)
        assert {outcome.code for outcome in outcomes} == {250}
        async with asyncio.timeout(30):
            while not await client.settled(MAILS):
                await asyncio.sleep(0.05)
        await until(lambda: sum(mail.recipients[0].startswith(kind) for mail in world.sinks[0].received) == MAILS)
        log = (client.folder / "mail.log").read_text()
        assert log.count("status=sent (250 2.0.0 Ok: queued as ") == MAILS, log[-3000:]
        assert "Verified TLS connection established to 127.0.0.1" in log
    finally:
        await client.stop()
