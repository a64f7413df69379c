"""Mails received a second of CPU, beside aiosmtpd's own server: ``python -m bench.receiving``.

Both are given the same mails over the same sessions, each in a process of its own, and queue nothing. Ours does more
with a mail: line ends, header section, compression. Rounds are interleaved, medians printed; the clock is the server's
CPU, for the machine may have others on it.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any

import structlog
import uvloop
from aiosmtpd.smtp import SMTP

from common.config import Config
from common.entry import Entry
from common.event import Event
from common.listener import Listener
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.role import run

ROUNDS, SESSIONS, BLOCK = 5, 4, 2**18
#: Noise of so many bytes, in so many sessions.
LARGE, LARGE_SESSIONS = 49_000_000, 20
#: Bytes of a mail, and mails of a round.
CASES = {1_000: 2000, 4_000: 2000, 100_000: 300, 1_000_000: 40}
HEADER = (
    b"From: Example Shop <news@example.com>\r\nTo: ann@example.org\r\nSubject: =?utf-8?q?Your_order?=\r\n"
    b"Date: Fri, 21 Nov 2025 21:00:37 +0000\r\nMessage-ID: <20251121210037.1@example.com>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    b"List-Unsubscribe: <https://example.com/u/1>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n"
)
LINE = b"<p>Thank you for your order %06d. It leaves us tomorrow and reaches you</p>=\r\n"


def mail(size: int) -> bytes:
    """One of about so many bytes."""
    body = b"".join(LINE % number for number in range((size - len(HEADER)) // len(LINE % 0) + 1))
    return HEADER + body


class Takes:
    """aiosmtpd's handler: takes all."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 Ok"


async def submit(entries: list[Entry], content: bytes, row: Event) -> None:
    """Our queue: none."""


def forget(rejection: Rejection) -> None:
    """Nothing is refused."""


async def serve(name: str) -> None:
    """Tell the port, then the CPU seconds used whenever a line comes, until there is no more."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    sock = socket.create_server(("127.0.0.1", 0))
    if name == "ours":
        listener = Listener(name="relay", bind=f"127.0.0.1:{sock.getsockname()[1]}")
        task = asyncio.create_task(
            run(Config(hostname="x.test", listeners=[listener]), submit, forget, stopping, {"relay": sock})
        )
    else:
        await loop.create_server(lambda: SMTP(Takes(), hostname="x.test", data_size_limit=2**26), sock=sock)
    print(sock.getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(time.process_time(), peak.split()[1], flush=True)
    stopping.set()
    if name == "ours":
        await task


class Server:
    """A server's process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self.port = process, port

    async def used(self) -> tuple[float, int]:
        """CPU in seconds and the peak of the resident set in MB, so far."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        cpu, peak = (await self._process.stdout.readline()).split()
        return float(cpu), int(peak) // 1024


@contextlib.asynccontextmanager
async def served(name: str) -> AsyncIterator[Server]:
    """A server, ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.receiving", "--serve", name,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        yield Server(process, int(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


def noise(size: int) -> bytes:
    """A mail that nothing makes smaller."""
    lines = os.urandom(size).translate(None, b"\r\n\0.")
    return HEADER + b"".join(lines[at : at + 900] + b"\r\n" for at in range(0, len(lines), 900))


async def memory() -> None:
    """Large mails at once."""
    content = noise(LARGE) + b".\r\n"
    for name in ("ours", "aiosmtpd"):
        async with served(name) as server:
            _, before = await server.used()
            async with asyncio.timeout(600):
                await asyncio.gather(*(session(server.port, content, 1) for _ in range(LARGE_SESSIONS)))
            _, peak = await server.used()
        print(f"{LARGE_SESSIONS} mails of {LARGE // 10**6} MB at once, {name}: {before} MB before, at most {peak} MB")


async def session(port: int, content: bytes, mails: int) -> None:
    """One client: so many mails, a reply awaited after each step."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def reply() -> bytes:
        while (line := await reader.readline())[3:4] == b"-":
            pass
        return line

    async def say(data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        line = await reply()
        assert line[:1] in b"23", line

    await reply()
    await say(b"EHLO c.test\r\n")
    for _ in range(mails):
        for command in (b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.org>\r\n", b"DATA\r\n"):
            await say(command)
        for at in range(0, len(content) - BLOCK, BLOCK):
            writer.write(content[at : at + BLOCK])
            await writer.drain()
        await say(content[(len(content) - 1) // BLOCK * BLOCK :])
    await say(b"QUIT\r\n")
    writer.close()


async def cost(server: Server, content: bytes, mails: int) -> float:
    """CPU seconds for each mail."""
    before, _ = await server.used()
    async with asyncio.timeout(120):
        await asyncio.gather(*(session(server.port, content, mails // SESSIONS) for _ in range(SESSIONS)))
    return ((await server.used())[0] - before) / (mails // SESSIONS * SESSIONS)


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=("ours", "aiosmtpd"), help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help="20 mails of 50 MB at once instead, and what they take")
    arguments = parser.parse_args()
    if arguments.serve:
        await serve(arguments.serve)
        return
    if arguments.memory:
        await memory()
        return
    print(f"{'':12}{'ours':>22}{'aiosmtpd':>22}{'ratio':>8}   of mails a second of CPU")
    async with served("ours") as ours, served("aiosmtpd") as theirs:
        for size, mails in CASES.items():
            content = mail(size) + b".\r\n"
            await asyncio.gather(*(cost(server, content, mails // 10) for server in (ours, theirs)))
            rounds = [[await cost(server, content, mails) for server in (ours, theirs)] for _ in range(ROUNDS)]
            costs = [median(one[i] for one in rounds) for i in (0, 1)]
            rates = [f"{1 / one:>10,.0f}/s {len(content) / one / 1e6:>6.1f} MB/s" for one in costs]
            ratio = median(theirs / ours for ours, theirs in rounds)
            print(f"{size // 1000:>6,} KB   {rates[0]:>22}{rates[1]:>22}{ratio:>8.1f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main())
