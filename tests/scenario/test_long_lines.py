"""Lines over 998 bytes leave shorter, read the same, and the signature is over what left."""

import asyncio
import email

import dkim
import pytest
from queue_support import submit
from scenario_support import broker, mx, sign_for
from support import make_entry

from common.content import store
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = b"long " * 400 + "grün".encode() + b"\r\n.\r\nshort\r\n"


async def test_long_lines(world: World) -> None:
    sign_for(world, "long-writer.test")
    async with mx(world, "127.0.2.1", "long.test") as sink, broker(world) as connection:
        header = b"From: <me@long-writer.test>\r\nSubject: " + b"word " * 300 + b"\r\n"
        entry = make_entry("a@long.test", sender="")
        await submit(connection, entry, content=store(header + b"\r\n" + TEXT))
        await sink.wait_for(1)
        [mail] = sink.received
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998
    assert await asyncio.to_thread(dkim.verify, mail.content, dnsfunc=world.look_up_txt)
    message = email.message_from_bytes(mail.content)
    assert message["Subject"].split() == ["word"] * 300
    assert message.get_payload(decode=True) == TEXT
