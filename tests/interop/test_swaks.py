"""One mail through, sent by swaks: DNS, STARTTLS, DKIM, events, and not a byte of it changed."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import dkim
import dns.resolver
import pytest
from dns.nameserver import Do53Nameserver
from scenario_support import mx, postjet, story, types

from master.demo.world import World

pytestmark = pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed; apt-get install swaks")

DOMAIN = "sender.test"
#: What tempts a relay to change something: dots, blanks at the end, long lines, 8 bits, empty lines at the end.
MESSAGE = (
    b"From: News <news@sender.test>\r\n"
    b"To: =?utf-8?q?J=C3=BCrgen?= <jurgen@receiver.test>\r\n"
    b"Subject: folded\r\n\tand spaced  twice \r\n"
    b"Date: Fri, 21 Nov 2025 12:00:00 +0000\r\n"
    b"Message-ID: <one@sender.test>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
    b"\r\n"
    b".one dot\r\n..two\r\n.\r\n \t trailing \t \r\nGr\xc3\xbc\xc3\x9fe " + b"x" * 900 + b"\r\n\r\n\r\n"
)


async def test_one_mail_through(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1) as world, mx(world, "127.0.1.1", "receiver.test") as sink:
        sink.extensions = (*sink.extensions, "STARTTLS")
        await _make_keys(world)
        submission = await _swaks(world, tmp_path / "message")
        await sink.wait_for(1)
        [mail] = sink.received
        accepted, delivered = await story(world, submission, "delivered")

        assert types([accepted, delivered]) == ["accepted", "delivered"]
        assert accepted["recipients"] == ["jurgen@receiver.test"]
        assert (accepted["message_id"], accepted["client_address"]) == ("<one@sender.test>", "127.0.0.1")
        assert (delivered["mx_host"], delivered["code"]) == ("mx.receiver.test", 250)
        assert delivered["tls_version"] == mail.tls == "TLSv1.3"
        assert [signature.split(":")[::2] for signature in delivered["signatures"]] == [
            [DOMAIN, "rsa-sha256"],
            [DOMAIN, "ed25519-sha256"],
        ]

        assert (mail.sender, mail.recipients) == ("news@sender.test", ("jurgen@receiver.test",))
        added, message = mail.content[: -len(MESSAGE)], mail.content[-len(MESSAGE) :]
        assert message == MESSAGE
        assert [line.split(b":")[0] for line in added.splitlines() if line[:1] not in b" \t"] == [
            b"DKIM-Signature",
            b"DKIM-Signature",
            b"Received",
        ]
        for index in (0, 1):
            assert await asyncio.to_thread(dkim.DKIM(mail.content).verify, index, _lookup(world))


async def _make_keys(world: World) -> None:
    """As a user does: keys by command, what it prints into DNS."""
    for kind in ("rsa", "ed25519"):
        made = await postjet("dkim", "new", DOMAIN, "--type", kind, config=world.config_file)
        name, _, record = made.stdout.strip().partition(" IN TXT ")
        world.dns.zone.add(name, "TXT", record.replace('" "', "").strip('"'))
    checked = await postjet("dkim", "check", config=world.config_file)
    assert checked.returncode == 0, checked.stdout


async def _swaks(world: World, file: Path) -> str:
    # swaks makes them CRLF again, and adds the last
    file.write_bytes(MESSAGE.replace(b"\r\n", b"\n").removesuffix(b"\n"))
    command = ["swaks", "--server", f"127.0.0.1:{world.smtp_port}", "--helo", "client.test",
               "--from", "news@sender.test", "--to", "jurgen@receiver.test", "--data", f"@{file}"]  # fmt: skip
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    [reply] = [line for line in done.stdout.splitlines() if "queued as" in line]
    return reply.rpartition(" ")[2]


def _lookup(world: World) -> Callable[..., bytes]:
    """DNS as dkimpy wants to ask it."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [Do53Nameserver(world.dns.host, world.dns.port)]

    def lookup(name: bytes, timeout: int = 5) -> bytes:
        [record] = resolver.resolve(name.decode(), "TXT", lifetime=timeout)
        return b"".join(record.strings)

    return lookup
