"""Whatever a client puts into a message, what leaves has CRLF line ends only, no NUL, and a signature that verifies."""

import asyncio

import dkim
import pytest
from scenario_support import SENDER, ids, mx, sign_for

from master.demo.generator import send_all
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADER = b"From: <news@odd.test>\r\nTo: <a@odd-rcpt.test>\r\nSubject: odd\r\n"
CONTENTS = {
    "long lines": HEADER + b"\r\n" + b"x" * 5000 + b"\r\n" + b"y" * 5000 + b"\r\n",
    "NUL": HEADER + b"\r\na\0b\0\0c\r\n\0\r\n",
    "bare LF": HEADER + b"\r\na\nb\n.\nc\n",
    "bare CR": HEADER + b"\r\na\rb\r.\rc\r\n",
    "smuggling": HEADER + b"\r\na\n.\r\nMAIL FROM:<x@y.test>\r\nRCPT TO:<z@y.test>\r\nDATA\r\n",
    "dots": HEADER + b"\r\n.\r\n..\r\n.a\r\n",
    "no body": HEADER,
    "no header": b"just text\r\n",
    "8-bit": HEADER + "\r\nGrüße\r\n".encode(),
    "header of 500 kB": HEADER + b"X-Long: " + b"z" * 500_000 + b"\r\n\r\nx\r\n",
    "empty": b"",
}


async def test_odd_content(world: World) -> None:
    sign_for(world, "odd.test")
    async with mx(world, "127.0.1.20", "odd-rcpt.test") as sink:
        for name, content in CONTENTS.items():
            ids(await send_all([(SENDER, ["a@odd-rcpt.test"], content)], "127.0.0.1", world.smtp_port))
            await sink.wait_for(1)
            received = sink.received.pop().content
            sink.mails = 0
            assert received.count(b"\r\n") == received.count(b"\n") == received.count(b"\r"), name
            assert b"\0" not in received, name
            assert b"Message-ID:" in received, name
            assert b"Date:" in received, name
            if content.startswith(HEADER):
                good = await asyncio.to_thread(dkim.verify, received, dnsfunc=world.look_up_txt)
                assert good, f"{name}: {received[:2000]!r}"
    assert not [mail for mail in sink.received if "y.test" in str(mail.recipients)]
