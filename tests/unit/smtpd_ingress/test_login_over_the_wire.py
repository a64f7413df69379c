"""Logins that a file of a dialogue cannot show: a client that computes, and what is queued of a user's mail."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from sasl_support import b64, scram_messages
from users_support import PASSWORD, user


@pytest.mark.parametrize(
    ("name", "password", "replies"),
    [
        ("tim", PASSWORD, ["235 2.7.0 Authentication successful", "250 2.1.0 Ok"]),
        ("tim", "wrong", ["535 5.7.8 Authentication credentials invalid", "530 5.7.0 Authentication required"]),
        ("nobody", PASSWORD, ["535 5.7.8 Authentication credentials invalid", "530 5.7.0 Authentication required"]),
    ],
)
async def test_scram(start_ingress: Callable[..., Any], name: str, password: str, replies: list[str]) -> None:
    ingress = await start_ingress(users=[user("tim")], auth="required", auth_without_tls=True)
    client = await ingress.connect()
    await client.reply()
    assert "AUTH SCRAM-SHA-256 PLAIN LOGIN" in await client.say("EHLO c.example")
    messages = scram_messages(password, name)
    reply = await client.say(f"AUTH SCRAM-SHA-256 {b64(next(messages))}")
    reply = await client.say(b64(messages.send(b64decode(reply.removeprefix("334 ")))))
    if reply.startswith("334 "):  # RFC 4954 section 4: what the server says of itself is a challenge
        assert b64decode(reply.removeprefix("334 ")).startswith(b"v=")
        reply = await client.say("")
    assert [reply, await client.say("MAIL FROM:<a@b.example>")] == replies


@pytest.mark.parametrize(
    ("field", "priority", "tags"),
    [("X-Kept: 1", 7, ("shop",)), ("X-Postjet-Priority: 2", 2, ("shop",)), ("X-Postjet-Tag: own", 7, ("own",))],
)
async def test_options_of_the_login(
    start_ingress: Callable[..., Any], field: str, priority: int, tags: tuple[str, ...]
) -> None:
    """They count where the mail does not set them."""
    tim = user("tim", options={"priority": "7", "tag": "shop"})
    ingress = await start_ingress(users=[tim], networks=[], auth="required", auth_without_tls=True)
    client = await ingress.connect()
    await client.reply()
    login = f"AUTH PLAIN {b64(f'{chr(0)}tim{chr(0)}{PASSWORD}')}"
    await client.say_all("EHLO c.example", login, "MAIL FROM:<a@b.example>", "RCPT TO:<b@c.example>", "DATA")
    assert (await client.say(f"Subject: x\r\n{field}\r\n\r\nhello\r\n.")).startswith("250 ")
    [queued] = ingress.queued
    assert [(entry.priority, entry.tags) for entry in queued.entries] == [(priority, tags)]
