"""Options by header, sent with swaks, and by parameter, sent with smtplib, as they lie in the queue and leave it."""

import asyncio
import shutil
import smtplib
import subprocess
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from scenario_support import broker, mx, story

from common.entry import Entry
from common.queue.listing import entries
from master.demo.world import World

DAY = 86_400
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """With a second pool, and fields of other products understood."""
    settings = {"pools.bulk": {"workers": 1}, "listener": {"compatible": ["powermta", "mailerq"]}}
    async with World(tmp_path_factory.mktemp("world"), sinks=1, settings=settings) as running:
        yield running


def swaks(world: World, *fields: str, code: int = 0) -> str:
    """Send one mail with these fields; the submission's id, or what swaks says of another exit code."""
    command = ["swaks", "--server", f"127.0.0.1:{world.smtp_port}", "--helo", "client.test",
               "--from", "news@sender.test", "--to", "you@receiver.test",
               *(word for field in fields for word in ("--header", field))]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout
    return done.stdout if code else done.stdout.partition("queued as ")[2].split()[0]


def send(world: World, mail_options: list[str], rcpt_options: list[str], recipient: str = "you@receiver.test") -> str:
    """Send one mail with parameters; the submission's id."""
    with smtplib.SMTP("127.0.0.1", world.smtp_port, "client.test") as client:
        client.ehlo()
        assert client.mail("news@sender.test", mail_options)[0] == 250
        client.command_encoding = "utf-8"
        code, text = client.docmd("RCPT", f"TO:<{recipient}> {' '.join(rcpt_options)}".rstrip())
        assert code == 250, text
        code, text = client.data(MESSAGE)
        assert code == 250, text
    return text.decode().rpartition(" ")[2]


async def queued(world: World, submission: str, pool: str = "default") -> Entry:
    """The one entry of a submission, in this pool."""
    async with broker(world) as connection:
        found = [listed.entry async for listed in entries(connection, pool) if listed.entry]
    [entry] = [entry for entry in found if entry.submission == submission]
    return entry


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed; apt-get install swaks")
async def test_header_fields(world: World) -> None:
    tomorrow = datetime.fromtimestamp(int(time.time()) + DAY, UTC)
    submission = await asyncio.to_thread(
        swaks, world, "X-Postjet-Pool: bulk", "X-Postjet-Delay: 3600", "X-Postjet-Priority: 7",
        "X-Postjet-Tag: sale", "X-Postjet-Meta-Shop: 7", "X-Postjet-Notify: NEVER",
        "X-Postjet-Expire: 1d", "X-Postjet-Envid: n 1",
    )  # fmt: skip
    ours = await queued(world, submission, "bulk")
    submission = await asyncio.to_thread(
        swaks, world, "X-Virtual-MTA: default", "X-Job: sale", f"X-MQ-Delayed: {tomorrow:%F %T}",
        "X-MQ-DSN-Notify: DELAY", "X-MQ-Shop: 7",
    )  # fmt: skip
    others = await queued(world, submission)
    refused = await asyncio.to_thread(swaks, world, "X-Postjet-Webhook: crm", code=26)
    assert (ours.priority, ours.tags, ours.meta, ours.notify) == (7, ("sale",), {"shop": "7"}, "NEVER")
    assert (ours.due - ours.accepted, ours.expires - ours.due, ours.envid) == (3600, DAY, "n+201")
    assert (others.tags, others.meta, others.notify, others.due) == (
        ("sale",), {"shop": "7"}, "DELAY", tomorrow.timestamp()
    )  # fmt: skip
    assert "<** 550 5.6.0 X-Postjet-Webhook: 'crm' is no webhook here" in refused


async def test_parameters(world: World) -> None:
    mail = ["SIZE=17", "RET=HDRS", "ENVID=QQ+2B1", "HOLDFOR=3600", "MT-PRIORITY=5", "BY=60;N", "AUTH=<>"]
    async with mx(world, "127.0.1.1", "receiver.test") as sink:
        sink.extensions = (*sink.extensions, "SMTPUTF8")
        rcpt = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;You+2B@Receiver.test"]
        later = await queued(world, await asyncio.to_thread(send, world, mail, rcpt))
        # RFC 6531: what needs SMTPUTF8 goes out with it, to a domain that DNS knows
        submission = await asyncio.to_thread(send, world, ["SMTPUTF8", "BODY=8BITMIME"], [], "jürgen@receiver.test")
        await story(world, submission, "delivered")
    assert (later.ret, later.envid, later.priority, later.future_release) == ("HDRS", "QQ+2B1", 7, "for;3600")
    assert (later.notify, later.orcpt) == ("SUCCESS,DELAY", "rfc822;You+2B@Receiver.test")
    assert later.due == later.accepted + 3600
    assert later.deliver_by == later.due + 60
    [received] = sink.received
    assert received.recipients == ("jürgen@receiver.test",)
    assert b"with UTF8SMTP id" in received.content
    assert "for <jürgen@receiver.test>".encode() in received.content
