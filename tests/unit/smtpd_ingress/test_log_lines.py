"""The lines of a session in the log, in Postfix's look."""

import re
from collections.abc import Callable
from typing import Any

import structlog
from support import until
from users_support import user

from common.codes import OK
from common.config import Config
from common.listener import Listener
from common.users.users import Users
from smtpd_ingress.accept import accept
from smtpd_ingress.actions import Queue
from smtpd_ingress.context import Context
from smtpd_ingress.dialogue import Dialogue
from smtpd_ingress.logins import Logins

ACCEPTED = (
    r"[0-9a-v]{20}: client=\[127\.0\.0\.1\], message-id=<1@example\.org>, from=<a@example\.org>, size=\d+, nrcpt=1"
)


async def submit(*_: object) -> None:
    """Stored."""


async def test_a_connection_from_its_beginning_to_its_end(start_ingress: Callable[..., Any]) -> None:
    with structlog.testing.capture_logs() as logs:
        ingress = await start_ingress()
        client = await ingress.connect()
        await client.into_data()
        client.write(b"Message-ID: <1@example.org>\r\n\r\nx\r\n.\r\n")
        assert (await client.reply()).startswith("250")
        client.write(b"QUIT\r\n")
        assert [line async for line in client.until_closed()] == ["221 2.0.0 Bye"]
        await until(lambda: logs[-1]["event"].startswith("disconnect"))
    connect, accepted, disconnect = [entry["event"] for entry in logs if "listener" not in entry["event"]]
    assert connect == "connect from [127.0.0.1]"
    assert re.fullmatch(ACCEPTED, accepted)
    assert disconnect == "disconnect from [127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"


async def test_a_connection_that_is_lost(start_ingress: Callable[..., Any]) -> None:
    with structlog.testing.capture_logs() as logs:
        ingress = await start_ingress()
        client = await ingress.connect()
        await client.reply()
        client.writer.close()
        await until(lambda: logs[-1]["event"].startswith("disconnect"))
    said = [entry["event"] for entry in logs if "listener" not in entry["event"]]
    assert said == [
        "connect from [127.0.0.1]", "lost connection from [127.0.0.1]", "disconnect from [127.0.0.1] commands=0"
    ]  # fmt: skip


async def test_the_line_of_a_mail_names_the_login() -> None:
    config = Config(hostname="mta1.example.net")
    logins = Logins(Users([user("alice")]), config.logins)
    talk = Dialogue(Context.of(config, Listener(), submit, print, logins), "127.0.0.1")
    talk.session.login = "alice"
    for line in ("EHLO c", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA", "x\r\n."):
        talk.feed(line.encode() + b"\r\n")
        action = talk.next()
    assert isinstance(action, Queue)
    talk.session.login = "alice"
    with structlog.testing.capture_logs() as logs:
        assert (await accept(talk.session, action.message))[:2] == OK[:2]
    assert ": client=[127.0.0.1], sasl_username=alice, message-id=<" in logs[0]["event"]
