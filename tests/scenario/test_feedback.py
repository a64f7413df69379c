"""What comes back finds its delivery: mail leaves with a return path of ours, and what is sent there is told of."""

import itertools
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from feedback_support import DOMAIN, SETTINGS, bounce, come_back, complaint, token_in, tokens
from queue_support import submit
from scenario_support import SENDER, broker, processes, send_as, send_with, story, types
from support import make_entry, until

from common import subjects
from common.broker import Message
from common.content import store
from common.ids import report_id
from master.demo.generator import make_message
from master.demo.sink import ASKING, EXTENSIONS, Sink
from master.demo.sink_mail import Mail
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
WRITER = "writer@writer.test"
_NUMBERS = itertools.count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A Postjet with feedback, and a mailbox for those who send."""
    async with World(tmp_path_factory.mktemp("world"), sinks=1, settings=SETTINGS) as world:
        world.add_domain("writer.test", world.sinks[0])
        world.sinks[0].extensions = (*EXTENSIONS, *ASKING)
        world.add_domain("remote.test", world.sinks[0])
        yield world


@pytest.fixture
def sink(world: World) -> Sink:
    """Both the writer's and the readers' mailboxes; nothing has come yet."""
    [sink] = world.sinks
    sink.received.clear()
    sink.mails = 0
    return sink


def somebody() -> str:
    """A reader's address, new every time: whose mail bounced is suppressed."""
    return f"r{next(_NUMBERS)}@remote.test"


async def sent(world: World, sink: Sink, **asked: Any) -> Mail:
    """A mail of the writer's that has arrived at a reader's."""
    recipient = somebody()
    entry = make_entry(recipient, sender=WRITER, expires=time.time() + 600, **asked)
    async with broker(world) as connection:
        await submit(connection, entry, content=store(make_message(1000, sender=WRITER, recipient=recipient)))
    await sink.wait_for(1)
    [mail] = sink.received
    return mail


async def told(world: World, mail: Mail, type_: str = "dsn") -> dict[str, Any]:
    """The row of what came back of a mail, once it is there."""
    token = tokens(world).read(token_in(mail))
    assert token
    return next(row for row in await story(world, token.submission, type_) if row["type"] == type_)


async def worked_off(world: World) -> None:
    """Returns when no feedback is left; what is passed on has been stored before."""
    async with broker(world) as connection:

        async def empty() -> bool:
            return not await connection.subjects("MQ_feedback", "q.>")

        await until(empty)


async def test_a_bounce_finds_its_delivery(world: World, sink: Sink) -> None:
    options = "X-Postjet-Tag: spring\r\nX-Postjet-Meta-customer: 7\r\n"
    recipient = somebody()
    [submission] = await send_with(world, options, recipient)
    await sink.wait_for(1)
    [mail] = sink.received
    token = token_in(mail)
    assert mail.sender == f"{token}@{DOMAIN}"
    said = await come_back(world.smtp_port, bounce(mail), f"{token.upper()}@{DOMAIN.title()}")
    rows = await story(world, submission, "dsn")
    assert types(rows)[:3] == ["accepted", "delivered", "dsn"]
    row = rows[2]
    expected: dict[str, Any] = {
        "submission": submission, "delivery": f"{submission}-1", "sender": SENDER, "recipient": recipient,
        "domain": "remote.test", "campaign": "spring", "tags": ["spring"], "meta": {"customer": "7"},
        "phase": "return-path", "reason": "failed", "code": 550, "enhanced_code": "5.1.1", "bounce_type": "hard",
        "mx_host": "mx.remote.test", "mx_address": "127.0.0.9", "pool": "default", "site": rows[1]["site"],
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert rows[1]["sender"] == rows[0]["sender"] == SENDER
    assert (await story(world, said.submission, "accepted"))[0]["pool"] == "feedback"


async def test_a_bounce_goes_on_to_who_sent_the_mail(world: World, sink: Sink) -> None:
    mail = await sent(world, sink, envid="E+2B1", orcpt="rfc822;Who+2Bx@elsewhere.test")
    assert "ENVID=E+2B1" in mail.parameters
    assert mail.commands[1].endswith(" ORCPT=rfc822;Who+2Bx@elsewhere.test")
    report = bounce(mail, envid="E+1")
    said = await come_back(world.smtp_port, report, mail.sender)
    await sink.wait_for(2)
    passed = sink.received[1]
    assert (passed.sender, passed.recipients) == ("", (WRITER,))
    assert passed.content.endswith(report)  # what it is in, and its fields, as they came
    row = await told(world, mail)
    assert passed.content.startswith(f"X-Postjet-Returned: {row['delivery']}@{DOMAIN}\r\nReceived: ".encode())
    rows = await story(world, report_id(f"{said.submission}-1", "passed-on"), "delivered")
    assert types(rows) == ["accepted", "delivered"]
    assert {(one["interface"], one["meta"]["report_of"]) for one in rows} == {("feedback", row["delivery"])}

    # the writer's mailbox sends all that it gets back to the return path: it does not go round
    again = await come_back(world.smtp_port, passed.content, mail.sender)
    await until(lambda: f"{again.submission}-1: feedback from" in world.log_file.read_text())
    await worked_off(world)
    assert len(sink.received) == 2


@pytest.mark.parametrize(
    ("notify", "action", "goes_on"),
    [("NEVER", "failed", False), ("SUCCESS", "failed", False), ("FAILURE", "delayed", False), ("", "delivered", False),
     ("", "delayed", True), ("SUCCESS", "relayed", True)],
)  # fmt: skip
async def test_only_what_the_sender_asked_for_goes_on(
    world: World, sink: Sink, notify: str, action: str, goes_on: bool
) -> None:
    mail = await sent(world, sink, notify=notify)
    await come_back(world.smtp_port, bounce(mail, action=action, status="4.4.1"), mail.sender)
    assert (await told(world, mail))["reason"] == action
    await worked_off(world)
    if goes_on:
        await sink.wait_for(2)
    assert len(sink.received) == 1 + goes_on


async def test_ret_hdrs(world: World, sink: Sink) -> None:
    mail = await sent(world, sink, ret="HDRS")
    await come_back(world.smtp_port, bounce(mail), mail.sender)
    await sink.wait_for(2)
    header, _, body = mail.content.partition(b"\r\n\r\n")
    assert header in sink.received[1].content
    assert body[:100] not in sink.received[1].content
    assert b"Content-Type: text/rfc822-headers" in sink.received[1].content


async def test_the_null_sender_stays_null(world: World, sink: Sink) -> None:
    [submission] = await send_as(world, "", somebody())
    await sink.wait_for(1)
    assert sink.received[0].sender == ""
    assert b"X-Postjet-Id" not in sink.received[0].content
    await story(world, submission, "delivered")


async def test_a_complaint_to_a_fixed_address(world: World, sink: Sink) -> None:
    mail = await sent(world, sink, tags=("spring",))
    said = await come_back(world.smtp_port, complaint(mail), f"fbl@{DOMAIN}", sender="fbl@provider.test")
    assert said.code == 250
    row = await told(world, mail, "complaint")
    expected = {"recipient": mail.recipients[0], "sender": WRITER, "campaign": "spring", "reason": "abuse",
                "phase": "token"}  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    await worked_off(world)
    assert len(sink.received) == 1


@pytest.mark.parametrize("phase", ["message-id", "envelope-id"])
async def test_what_anybody_may_quote_is_no_proof(world: World, sink: Sink, phase: str) -> None:
    await send_with(world, "X-Postjet-Envid: QQ 314\r\n", somebody())
    await sink.wait_for(1)
    [mail] = sink.received
    forged = bounce(mail, envid="QQ 314" if phase == "envelope-id" else "")
    forged = re.sub(rb"X-Postjet-Id: .*\r\n", b"", forged).replace(mail.sender.encode(), b"x@y.test")
    if phase == "envelope-id":
        forged = re.sub(rb"(?m)^Message-ID: <(?!bounce@).*\r\n", b"", forged)
    await come_back(world.smtp_port, forged, f"abuse@{DOMAIN}")
    assert (await told(world, mail))["phase"] == phase
    await worked_off(world)
    assert len(sink.received) == 1


async def test_what_is_about_nothing_of_ours_is_told_of(world: World, sink: Sink) -> None:
    message = b"From: <who@remote.test>\r\nMessage-ID: <n@remote.test>\r\nSubject: Hello\r\n\r\nYou there?\r\n"
    said = await come_back(world.smtp_port, message, f"postmaster@{DOMAIN}", sender="who@remote.test")
    row = (await story(world, said.submission, "reply"))[-1]
    assert (row["delivery"], row["phase"], row["recipient"]) == (f"{said.submission}-1", "unmatched", "who@remote.test")
    assert sink.received == []


async def test_others_find_nobody_there(world: World, sink: Sink) -> None:
    mail = await sent(world, sink)
    good = token_in(mail)
    entry = make_entry(submission=good[:20])
    old = tokens(world).make(entry, time.time() - 61 * 86_400)
    answers = [
        await come_back(world.smtp_port, b"", f"{name}@{DOMAIN}", client=f"127.0.1.{number}")
        for number, name in enumerate([good[:-1] + ("0" if good[-1] != "0" else "1"), old, good[:-1], "nobody"], 1)
    ]
    texts = {re.sub("<.*>", "<>", text) for answer in answers for _, text in answer.rcpt}
    assert {code for answer in answers for code, _ in answer.rcpt} == {550}
    assert texts == {"5.1.1 <>: no such mailbox here"}


async def test_while_clickhouse_is_away(world: World, sink: Sink) -> None:
    mail = await sent(world, sink)
    await told(world, mail, "delivered")
    [pid] = [pid for pid, words in processes(world.folder).items() if "events.embedded" in words]
    os.kill(pid, signal.SIGSTOP)
    try:
        said = await come_back(world.smtp_port, bounce(mail), mail.sender)
        await until(lambda: f"{said.submission}: client=" in world.log_file.read_text())
        async with broker(world) as connection:
            assert await connection.subjects("MQ_feedback", subjects.submission("feedback", said.submission, "q"))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await told(world, mail))["reason"] == "failed"
    await sink.wait_for(2)


async def test_what_cannot_be_read_is_held(world: World) -> None:
    entry = make_entry(f"x@{DOMAIN}", pool="feedback")
    async with broker(world) as connection:
        await connection.put(Message(subjects.entry("q", entry), b"no entry"))
        await connection.put(Message(subjects.entry("q", bad := entry.but(number=2)), bad.but(content=b"?").pack()))

        async def held() -> bool:
            return sorted(s[0] for s in await connection.subjects("MQ_feedback", ">")) == ["h", "h"]

        await until(held)
    assert {row["reason"] for row in await story(world, entry.submission, "held", 2)} == {"unreadable"}
