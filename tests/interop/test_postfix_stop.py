"""Postjet as the relayhost of Debian's Postfix, stopped and started in mid-flow: no mail is lost or comes twice."""

import asyncio
import re
from collections import Counter
from pathlib import Path

from packages_support import NEEDS_POSTFIX
from scenario_support import SENDER
from support import until

from bench import postfix
from bench.measuring import workplace
from master.demo.generator import make_message, send_all
from master.demo.world import World

pytestmark = NEEDS_POSTFIX

MAILS, BEFORE = 600, 100
_SETTINGS = """\
relayhost = [127.0.0.1]:{port}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""
_STATUS = re.compile(r"status=(\w+) \((.*)\)$", re.MULTILINE)
#: What a stop may cost a client: it is sent away, or nobody listens. Where it was writing as the 421 came, its kernel
#: may tell it first that the connection is closed; never once its data has begun.
_SENT_AWAY = re.compile(
    r"(said|refused to talk to me): 421 4\.3\.2 |: Connection refused$"
    r"|lost connection with \S+ while "
    r"(receiving the initial server greeting|performing the EHLO handshake|sending (MAIL FROM|RCPT TO|DATA command))$"
)


class Client(postfix.Postfix):
    """Gives all mail to the relayhost on ``mx_port``, and tries again after a second."""

    def _prepare(self) -> None:
        super()._prepare()
        with (self.folder / "etc/main.cf").open("a") as file:
            file.write(_SETTINGS.format(port=self.mx_port))


async def test_stopped_and_started_in_mid_flow(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world:
        world.add_domain("a.test")
        with workplace() as folder:  # not tmp_path, which pytest makes root's alone
            client = Client(folder, world.smtp_port, tmp_path)
            try:
                await client.start()
                await _relay(client, world)
                said = _STATUS.findall((folder / "mail.log").read_text())
            finally:
                await client.stop()
        arrived = Counter(one for mail in world.sinks[0].received for one in mail.recipients)
        assert arrived == Counter(f"r{number}@a.test" for number in range(MAILS))
        assert Counter(status for status, _ in said)["sent"] == MAILS
        not_sent = [text for status, text in said if status != "sent"]
        assert not_sent
        assert [text for text in not_sent if not _SENT_AWAY.search(text)] == []


async def _relay(client: Client, world: World) -> None:
    """All mails through Postfix and Postjet, which is away for a moment after the first of them."""
    received = world.sinks[0].received
    recipients = [f"r{number}@a.test" for number in range(MAILS)]
    mails = [(SENDER, [one], make_message(2000, sender=SENDER, recipient=one)) for one in recipients]
    sending = asyncio.create_task(send_all(mails, "127.0.0.1", client.port, 20))
    await until(lambda: len(received) >= BEFORE, 30)
    assert await world.down() == 0
    assert len(received) < MAILS
    assert {outcome.code for outcome in await sending} == {250}
    await world.up()
    await until(lambda: len(received) >= MAILS, 90)
    async with asyncio.timeout(30):
        while not await client.settled(MAILS):
            await asyncio.sleep(0.05)
    assert await world.down() == 0
