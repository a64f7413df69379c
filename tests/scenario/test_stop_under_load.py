"""SIGTERM while mail comes in: clients see 250 or 421, nothing is lost, nothing comes twice."""

import asyncio
import re
from collections import Counter
from pathlib import Path

from scenario_support import SENDER, processes
from support import until

from master.demo.generator import Mail, make_message, send_all
from master.demo.world import World

MAILS, SESSIONS, BEFORE = 800, 20, 100
#: What a client may see besides replies: nobody listens any more.
_REFUSED = "unknown: ConnectionRefusedError"
_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)", re.MULTILINE)


async def test_stop_under_load(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world:
        world.add_domain("a.test")
        idle, busy = await Session.open(world, "NOOP"), await Session.open(world, *ENVELOPE, "DATA")
        mails = [_mail(number) for number in range(MAILS)]
        begun = asyncio.Event()
        left = BEFORE

        def progress(_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                begun.set()

        sending = asyncio.create_task(
            send_all(mails, "127.0.0.1", world.smtp_port, SESSIONS, progress=progress)
        )
        await begun.wait()
        stopping = asyncio.create_task(world.down())
        assert (await idle.line()).startswith("421 4.3.2 ")
        assert await idle.line() == ""
        await until(lambda: _is_refused(world))
        slow = make_message(2000, sender=SENDER, recipient="r@a.test")
        assert (await busy.say(slow.decode() + ".")).startswith("250 2.0.0 Ok: queued as ")
        assert (await busy.line()).startswith("421 4.3.2 ")
        assert await busy.line() == ""
        outcomes = await sending
        assert await stopping == 0
        assert processes(tmp_path) == {}

        seen = Counter(outcome.code for outcome in outcomes)
        assert seen[250] >= BEFORE
        assert seen[250] + seen[421] + seen[0] == MAILS
        assert seen[421] <= SESSIONS
        assert [o.text for o in outcomes if not o.code and not o.text.startswith(_REFUSED)] == []

        await world.up()
        accepted = {_id(mails[outcome.number][2]) for outcome in outcomes if outcome.code == 250} | {_id(slow)}
        await until(lambda: accepted <= {mail.message_id for mail in world.sinks[0].received}, 60)
        await world.down()
        arrived = Counter(mail.message_id for mail in world.sinks[0].received)
        assert set(arrived) == accepted
        assert set(arrived.values()) == {1}
        assert "Traceback" not in world.log_file.read_text()


ENVELOPE = ("EHLO c.test", f"MAIL FROM:<{SENDER}>", "RCPT TO:<r@a.test>")


class Session:
    """A client that says one thing at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, world: World, *commands: str) -> "Session":
        session = cls(*await asyncio.open_connection("127.0.0.1", world.smtp_port))
        await session.line()
        for command in commands:
            assert (await session.say(command))[0] in "23"
        return session

    async def say(self, text: str) -> str:
        self.writer.write(text.encode() + b"\r\n")
        while (line := await self.line())[3:4] == "-":
            pass
        return line

    async def line(self) -> str:
        """A reply's line; "" at the end of the connection."""
        line = (await asyncio.wait_for(self.reader.readline(), 30)).decode()
        if not line:
            self.writer.close()
        return line


def _mail(number: int) -> Mail:
    return SENDER, [f"r{number}@a.test"], make_message(2000, sender=SENDER, recipient=f"r{number}@a.test")


def _id(content: bytes) -> str:
    found = _MESSAGE_ID.search(content)
    assert found
    return found[1].decode()


async def _is_refused(world: World) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", world.smtp_port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
