"""Load generator: many SMTP sessions at once, and what became of every mail."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import NamedTuple

from common.ids import new_id

#: Sender, recipients, content with CRLF line ends.
Mail = tuple[str, Sequence[str], bytes]

RETRY_PAUSE = 0.1
_LOST = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)
_FILLER = b"The quick brown fox jumps over the lazy dog while the mail goes out.\r\n"


class Reply(NamedTuple):
    """An SMTP reply; the lines of its text are joined by newlines. Code 0: none came."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mail."""

    number: int
    """Its place among those sent, from 0."""
    code: int
    """Of the reply that decided; 0: unknown, the connection was lost before it came or could not be made."""
    text: str
    seconds: float
    """From its first try to its outcome."""
    failed: tuple[Reply, ...]
    """What the tries before it ended with; code 0 as above."""
    refused: tuple[str, ...]
    """Recipients that were refused while others may have been taken."""

    @property
    def tries(self) -> int:
        """How often it was sent."""
        return len(self.failed) + 1

    @property
    def accepted(self) -> bool:
        """The server took responsibility for all recipients but ``refused``."""
        return 200 <= self.code < 300


async def send_all(
    mails: Iterable[Mail],
    host: str,
    port: int,
    sessions: int = 1,
    *,
    retry: bool = False,
    deadline: float = 60.0,
    timeout: float = 60.0,
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Send ``mails`` over so many sessions at once, each used for many mails; outcomes in the order of ``mails``.

    With ``retry`` what was answered 4xx or not at all is sent again, until ``deadline`` seconds from now.
    A try may take ``timeout`` seconds. ``progress`` is called after each mail.
    """
    until = time.monotonic() + deadline if retry else 0.0
    work, outcomes = enumerate(mails), list[Outcome]()

    async def session() -> None:
        client = Client(host, port)
        try:
            for number, mail in work:
                outcome = await _deliver(client, number, mail, until, timeout)
                outcomes.append(outcome)
                progress(outcome)
            await client.quit()
        finally:
            client.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(sessions):
            group.create_task(session())
    return sorted(outcomes, key=lambda outcome: outcome.number)


async def _deliver(client: "Client", number: int, mail: Mail, until: float, timeout: float) -> Outcome:
    """Try once, and again until the time ``until`` (0: only once)."""
    started, failed = time.monotonic(), list[Reply]()
    while True:
        try:
            async with asyncio.timeout(timeout):
                reply, refused = await client.send(mail)
        except _LOST as error:
            client.abort()
            reply, refused = Reply(0, f"unknown: {error!r}"), ()
        now = time.monotonic()
        if 200 <= reply.code < 400 or reply.code >= 500 or now + RETRY_PAUSE > until:
            return Outcome(number, *reply, now - started, tuple(failed), refused)
        failed.append(reply)
        await asyncio.sleep(RETRY_PAUSE)


class Client:
    """One SMTP session; it connects when it is needed. After an error it must be aborted."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._pipelining = False
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, mail: Mail) -> tuple[Reply, tuple[str, ...]]:
        """The reply that decided and the recipients refused. Raises OSError, EOFError, ValueError."""
        if self._writer is None:
            await self._connect()
        sender, recipients, content = mail
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{address}>" for address in recipients), "DATA"]
        first, *rcpts, data = await self._ask_all([command.encode() + b"\r\n" for command in commands])
        refused = tuple(to for to, reply in zip(recipients, rcpts, strict=True) if reply.code >= 300)
        some = len(refused) < len(recipients)
        final = data
        if data.code == 354:
            # RFC 2920 3.1: a DATA accepted without recipients is ended by a lone dot
            final = await self._ask(stuffed(content) if some else b".\r\n")
        elif data.code != 421:
            await self._ask(b"RSET\r\n")
        if final.code == 421:
            self.abort()
        return first if first.code >= 300 else final if some else rcpts[0], refused

    async def quit(self) -> None:
        """End the session politely; errors do not matter any more."""
        with contextlib.suppress(*_LOST):
            if self._writer:
                async with asyncio.timeout(5):
                    await self._ask(b"QUIT\r\n")
        self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._writer:
            self._writer.transport.abort()
            self._writer = None

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        banner = await self._reply()
        ehlo = await self._ask(b"EHLO generator.test\r\n")
        if banner.code != 220 or ehlo.code != 250:
            raise ConnectionError(f"{banner.code} {banner.text} / {ehlo.code} {ehlo.text}")
        self._pipelining = "PIPELINING" in ehlo.text.upper().splitlines()[1:]

    async def _ask_all(self, commands: list[bytes]) -> list[Reply]:
        if self._pipelining:
            self._write(b"".join(commands))
        replies = list[Reply]()
        for command in commands:
            if replies and replies[-1].code == 421:  # RFC 5321 3.8: nothing comes after it
                replies.append(replies[-1])
            else:
                replies.append(await (self._reply() if self._pipelining else self._ask(command)))
        return replies

    async def _ask(self, data: bytes) -> Reply:
        self._write(data)
        return await self._reply()

    def _write(self, data: bytes) -> None:
        assert self._writer
        self._writer.write(data)

    async def _reply(self) -> Reply:
        """The next reply. Raises EOFError, ValueError."""
        lines = []
        while True:
            line = (await self._reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip("\r\n")
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(line[:3]), "\n".join(lines))


def stuffed(content: bytes) -> bytes:
    """The content as DATA carries it, with the line that ends it (RFC 5321 4.5.2)."""
    end = b".\r\n" if content.endswith(b"\r\n") or not content else b"\r\n.\r\n"
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + end


def make_message(
    size: int = 4096, *, sender: str = "sender@example.test", recipient: str = "recipient@example.test"
) -> bytes:
    """A small plausible mail with a Message-ID of its own, exactly ``size`` bytes unless its header is longer."""
    identifier = new_id()
    header = (
        f"From: <{sender}>\r\n"
        f"To: <{recipient}>\r\n"
        f"Subject: News of the day, number {identifier}\r\n"
        f"Date: {formatdate(localtime=True)}\r\n"
        f"Message-ID: <{identifier}@generator.test>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    ).encode()
    length = max(size - len(header) - 2, 0)
    text = (_FILLER * (length // len(_FILLER) + 1))[:length].rstrip(b"\r\n")
    return header + text.ljust(length, b".") + b"\r\n"
