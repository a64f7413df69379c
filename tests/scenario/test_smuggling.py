"""Whatever a trusted client sends, the next hop gets one message with CRLF alone, whose signature verifies."""

import asyncio
import smtplib

import dkim
import pytest
from scenario_support import SENDER, mx, sign_for
from smuggling import EVIL, SEQUENCES, ends

from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADER = b"From: <news@sequence.test>\r\nTo: <a@sequence-rcpt.test>\r\nSubject: x\r\nDate: x\r\nMessage-ID: <x@y>\r\n"


async def test_every_sequence_by_data_and_by_chunks(world: World) -> None:
    sign_for(world, "sequence.test")
    sequences = [one for one in SEQUENCES if not ends(one)]
    async with mx(world, "127.0.1.30", "sequence-rcpt.test", "evil.test") as sink:
        replies = await asyncio.to_thread(_send, world.smtp_port, sequences)
        assert replies == [250] * 2 * len(sequences)
        await sink.wait_for(2 * len(sequences))
        for mail in sink.received:
            content = mail.content
            assert list(mail.recipients) == ["a@sequence-rcpt.test"]
            assert b"\r\n\r\nevil\r\n" in content  # all of it, to its last line
            assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
            assert b"\0" not in content
            assert await asyncio.to_thread(dkim.verify, content, dnsfunc=world.look_up_txt)
        assert len({mail.content.partition(b"before")[2] for mail in sink.received}) > 1
        assert len(sink.received) == 2 * len(sequences)


def _send(port: int, sequences: list[bytes]) -> list[int]:
    """The replies to the ends of all messages."""
    replies = []
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        for sequence in sequences:
            content = HEADER + b"\r\nbefore" + sequence + EVIL
            for by_data in (True, False):
                client.mail(SENDER)
                client.rcpt("a@sequence-rcpt.test")
                if by_data:
                    client.putcmd("data")
                    client.getreply()
                    client.send(content)  # ends as EVIL does
                else:
                    client.send(b"BDAT %d LAST\r\n" % len(content) + content)
                replies.append(client.getreply()[0])
    return replies
