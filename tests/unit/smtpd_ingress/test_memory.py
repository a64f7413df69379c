import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from dialogue_support import Driven, context

from common.listener import Listener
from smtpd_ingress import memory as module
from smtpd_ingress.memory import Memory
from smtpd_ingress.wire import CHUNK

Start = Callable[..., Any]


async def waits(memory: Memory, share: module.Share) -> "asyncio.Task[None]":
    """Somebody who waits for room by now."""
    task = asyncio.create_task(memory.room(share))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_one_goes_on_when_it_is_full() -> None:
    memory = Memory(100)
    first, second, third = (memory.share(trusted=True) for _ in range(3))
    for share in (first, second, third):
        share.set(40)
    await memory.room(second)
    waiting = [await waits(memory, first), await waits(memory, third)]
    second.set(1000)
    await memory.room(second)  # it alone
    del second, share
    assert memory.held == 80
    await asyncio.gather(*waiting)
    third.set(60)
    await memory.room(third)
    last = await waits(memory, first)
    third.set(0)  # given up, though its session goes on
    await last


async def test_strangers_have_half() -> None:
    memory = Memory(100)
    friend, one, other = memory.share(trusted=True), memory.share(trusted=False), memory.share(trusted=False)
    one.set(50)
    await memory.room(one)
    waiting = await waits(memory, other)
    await memory.room(friend)
    one.set(0)
    await waiting


def test_a_session_asks_for_what_it_may_have() -> None:
    of = context(Listener(max_memory=1000), postmaster="p@example.com")
    for client, limit in (("127.0.0.1", 1000), ("203.0.113.9", 500)):
        driven = Driven(client, of)
        for line in (b"EHLO c\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<postmaster>\r\n", b"DATA\r\n"):
            driven.say(line)
        assert driven.dialogue.message
        assert driven.dialogue.message._share.limit == limit


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    memory = Memory(10)
    first, second = memory.share(trusted=True), memory.share(trusted=True)
    first.set(10)
    await memory.room(first)
    with pytest.raises(TimeoutError):
        await memory.room(second)


NOISE = os.urandom(3_100_000).translate(None, b"\r\n\0.")
LARGE = b"Subject: x\r\n\r\n" + b"".join(NOISE[at : at + 900] + b"\r\n" for at in range(0, len(NOISE), 900))
COMMANDS = "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA"


async def test_many_large_messages_at_once_stay_below_the_limit(start_ingress: Start, memories: list[Memory]) -> None:
    """Each is over 3 MB when it is compressed; memory is for two of them, and all come in."""
    ingress = await start_ingress(max_memory=7_000_000)
    most = 0

    async def look() -> None:
        nonlocal most
        most = max(most, memories[0].held)

    ingress.before_submit = look
    clients = [await ingress.connect() for _ in range(8)]
    for client in clients:
        await client.into_data()
        client.write(LARGE + b".\r\n")
    assert [(await client.reply())[:4] for client in clients] == ["250 "] * 8
    assert 3_000_000 < most <= 7_000_000 + len(LARGE) + 8 * 2 * CHUNK
    assert all(one.content.endswith(LARGE) for one in ingress.queued)
    assert memories[0].held == 0


async def test_a_header_section_counts_while_it_comes(start_ingress: Start, memories: list[Memory]) -> None:
    ingress = await start_ingress()
    client = await ingress.connect()
    await client.into_data()
    client.write(b"Subject: x\r\n" + b" aaaa\r\n" * 100_000)
    while memories[0].held < 700_000:
        await asyncio.sleep(0.01)
    client.write(b"\r\n.\r\n")
    assert (await client.reply()).startswith("250")
    assert memories[0].held == 0


async def test_who_is_refused_waits_for_no_room(start_ingress: Start, memories: list[Memory]) -> None:
    ingress = await start_ingress(max_memory=1_000_000)
    slow, refused = await ingress.connect(), await ingress.connect()
    await refused.into_data()
    refused.write(b"Received: x\r\n" * 100 + b"\r\n")
    await slow.into_data()
    slow.write(LARGE)
    while memories[0].held < 1_000_000:
        await asyncio.sleep(0.01)
    refused.write(LARGE + b".\r\n")
    assert (await refused.reply()).startswith("554 5.4.6")
    slow.write(b".\r\n")
    assert (await slow.reply()).startswith("250")


async def test_a_lost_connection_and_rset_give_back(start_ingress: Start, memories: list[Memory]) -> None:
    ingress = await start_ingress(max_memory=1_000_000)
    lost, other = await ingress.connect(), await ingress.connect()
    await lost.into_data()
    lost.write(LARGE)
    while memories[0].held < 1_000_000:
        await asyncio.sleep(0.01)
    await other.reply()
    await other.say_all("EHLO c.example", *COMMANDS[:2])
    other.write(b"BDAT %d\r\n" % len(LARGE) + LARGE)
    lost.writer.transport.abort()
    assert (await other.reply()).startswith("250")
    assert 3_000_000 < memories[0].held < 3_200_000
    assert await other.say("RSET") == "250 2.0.0 Ok"
    assert memories[0].held == 0


async def test_who_waits_for_too_long_is_told_to_come_back(
    start_ingress: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    ingress = await start_ingress(max_memory=1_000_000)
    slow, other = await ingress.connect(), await ingress.connect()
    await slow.into_data()
    slow.write(LARGE)
    await slow.writer.drain()
    await other.into_data()
    other.write(LARGE + b".\r\nNOOP\r\n")
    assert await other.reply() == "452 4.3.1 Too much mail comes in at once, try again later"
    assert await other.reply() == "250 2.0.0 Ok"
    slow.write(b".\r\n")
    assert (await slow.reply()).startswith("250 2.0.0 Ok")


async def test_a_slow_queue_slows_the_reader(start_ingress: Start) -> None:
    """While a message is being queued nothing is read: what the client sends stays with it and its kernel."""
    ingress = await start_ingress()
    reached, go_on = ingress.hold_submit()
    client = await ingress.connect()
    await client.into_data()
    client.write(b"x\r\n.\r\n")
    await reached.wait()
    client.write(("\r\n".join(COMMANDS) + "\r\n").encode() + LARGE * 8 + b".\r\n")
    before = -1
    while before != (left := client.writer.transport.get_write_buffer_size()):
        before = left
        await asyncio.sleep(0.1)
    assert left > 10_000_000
    assert not ingress.queued
    go_on.set()
    assert [(await client.reply())[:3] for _ in range(5)] == ["250", "250", "250", "354", "250"]
    assert ingress.queued[1].content.endswith(LARGE * 2)
