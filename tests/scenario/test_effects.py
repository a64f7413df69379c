"""What recipients do about a mail has its effect: they click, complain, bounce later, answer."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator

import dkim
import pytest
import pytest_asyncio
from feedback_support import SETTINGS, bounce, come_back, complaint
from scenario_support import broker, query, rcpt, send_with, sign_for, story
from support import until

from common.suppression import store
from common.suppression.suppression import Suppression
from master.demo.sink import Sink
from master.demo.sink_mail import Mail
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
SENDER, PERSON = "news@sender.test", "person@sender.test"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A Postjet with feedback, links to unsubscribe and a template."""
    folder = tmp_path_factory.mktemp("world")
    folder.mkdir(exist_ok=True)
    (folder / "answer.txt").write_text("Thanks, $sender. A person reads this.\n")
    settings = {
        **SETTINGS,
        "feedback": {**SETTINGS["feedback"], "forward_replies": PERSON},
        "unsubscribe": {"url": "https://news.sender.test"},
        "auto_reply": {"text": str(folder / "answer.txt"), "sender": SENDER},
    }
    running = World(folder, sinks=1, settings=settings)
    try:
        await running.open()
        for domain in ("sender.test", "remote.test"):
            running.add_domain(domain, running.sinks[0])
        sign_for(running, "sender.test")
        await running.up()
        yield running
    finally:
        await running.close()


@pytest.fixture
def sink(world: World) -> Sink:
    """Everybody's mailbox; nothing has come yet."""
    [sink] = world.sinks
    sink.received.clear()
    sink.mails = 0
    return sink


async def sent(world: World, sink: Sink, *recipients: str) -> list[Mail]:
    """A mail with a link for each, as they have arrived."""
    await send_with(world, "X-Postjet-Unsubscribe: yes\r\n", *recipients)
    await sink.wait_for(len(recipients))
    return sorted(sink.received, key=lambda mail: mail.recipients)


async def is_refused(world: World, recipient: str) -> bool:
    return (await rcpt(world, recipient, SENDER))[0] == 550


async def stored(world: World, recipient: str) -> list[Suppression]:
    async with broker(world) as connection:
        return await store.of(connection, recipient)


async def curl(*arguments: str) -> tuple[str, str]:
    """Status and what came."""
    command = ["curl", "-sS", "-w", "\n%{http_code}", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=20)
    text, _, status = done.stdout.rpartition("\n")
    return status, text


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
async def test_one_click(world: World, sink: Sink) -> None:
    mails = await sent(world, sink, "ann@remote.test", "bob@remote.test")
    links = []
    for mail in mails:
        header = mail.content.partition(b"\r\n\r\n")[0].decode()
        assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in header
        assert b"x-postjet-unsubscribe" not in mail.content.lower()
        match = re.search(r"^List-Unsubscribe: <https://news\.sender\.test(/u/[^\s>]+)>", header, re.MULTILINE)
        assert match
        links.append(match[1])
        signature = re.sub(r"\s", "", header[header.index("DKIM-Signature") :])
        signed = re.search("h=([^;]*);", signature)
        assert signed
        assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(signed[1].split(":"))
        assert await asyncio.to_thread(dkim.verify, mail.content, dnsfunc=world.look_up_txt)
    ann, bob = (f"http://{world.instance['api']}{link}" for link in links)
    assert ann != bob

    async def asked() -> bool:  # role api may still be on its way to the broker
        return "bob@remote.test" in (await curl(bob))[1]

    await until(asked)
    assert (await curl("-d", "List-Unsubscribe=One-Click", bob[:-1]))[0] == "404"
    assert (await curl("-d", "x=y", bob))[0] == "400"
    assert await stored(world, "bob@remote.test") == []
    for form in (("-d", "List-Unsubscribe=One-Click"), ("-F", "List-Unsubscribe=One-Click")):
        assert (await curl(*form, bob))[0] == "200"
    [one] = await stored(world, "bob@remote.test")
    assert (one.scope, one.source) == ("@sender.test", "unsubscribe")
    await until(lambda: is_refused(world, "bob@remote.test"))
    assert (await rcpt(world, "ann@remote.test", SENDER))[0] == 250
    assert (await rcpt(world, "bob@remote.test", "x@other.test"))[0] == 250
    rows = await story(world, one.by.partition("-")[0], "unsubscribed")
    assert [row["recipient"] for row in rows if row["type"] == "unsubscribed"] == ["bob@remote.test"]


async def test_a_wish_by_mail(world: World, sink: Sink) -> None:
    [mail] = await sent(world, sink, "carl@remote.test")
    match = re.search(rb"<mailto:([^?>]+)\?subject=([^>]+)>\r\n", mail.content)
    assert match
    to, subject = match[1].decode(), match[2].decode().replace("%20", " ")
    text = f"From: carl@elsewhere.test\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n\r\n"
    await come_back(world.smtp_port, text.encode(), to, sender="carl@elsewhere.test")
    await until(lambda: is_refused(world, "carl@remote.test"))
    [one] = await stored(world, "carl@remote.test")
    assert (one.source, one.scope) == ("unsubscribe", "@sender.test")


async def test_a_complaint_and_a_late_bounce(world: World, sink: Sink) -> None:
    angry, gone = await sent(world, sink, "angry@remote.test", "gone@remote.test")
    await come_back(world.smtp_port, complaint(angry), "fbl@bounces.mta.test")
    await come_back(world.smtp_port, bounce(gone), gone.sender)
    for recipient, source in (("angry@remote.test", "complaint"), ("gone@remote.test", "bounce")):
        await until(lambda recipient=recipient: is_refused(world, recipient))  # type: ignore[misc]
        [one] = await stored(world, recipient)
        assert (one.source, one.scope) == (source, "@sender.test")

        async def told(recipient: str = recipient) -> bool:
            found = await query(
                world, "SELECT text FROM events WHERE reason = 'suppression' AND recipient = {to:String}", to=recipient
            )
            return len(found) == 1

        await until(told)


async def test_who_answers_is_answered_once_and_a_person_reads_it(world: World, sink: Sink) -> None:
    [mail] = await sent(world, sink, "fan@remote.test")
    sink.received.clear()
    sink.mails = 0
    await answered(world, mail, "1")
    await sink.wait_for(2)
    got = {one.recipients[0]: one for one in sink.received}
    assert sorted(got) == ["fan@remote.test", PERSON]
    assert {one.sender for one in got.values()} == {""}
    assert b"Thanks, fan@remote.test. A person reads this." in got["fan@remote.test"].content
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in got["fan@remote.test"].content
    assert b"I like your news" in got[PERSON].content
    await answered(world, mail, "2")
    await sink.wait_for(3)
    # programs that send back what they get: the answer is a machine's, which the mail's sender gets, and nobody else
    await come_back(world.smtp_port, got["fan@remote.test"].content, mail.sender)
    await come_back(world.smtp_port, got[PERSON].content, mail.sender, sender=PERSON)
    await answered(world, mail, "3")
    await sink.wait_for(5)
    assert sorted(one.recipients[0] for one in sink.received[2:]) == [SENDER, PERSON, PERSON]


async def answered(world: World, mail: Mail, number: str) -> None:
    text = (
        f"From: Fan <fan@remote.test>\r\nTo: {mail.sender}\r\nSubject: Re: News of the day\r\n"
        f"Message-ID: <{number}@remote.test>\r\nDate: Fri, 21 Nov 2025 12:00:00 +0000\r\n"
        "In-Reply-To: <x@generator.test>\r\n\r\nI like your news. Could you call me tomorrow?\r\n"
    )
    await come_back(world.smtp_port, text.encode(), mail.sender, sender="fan@remote.test")
