"""A load generator that costs little: ``python -m bench.generator PORT MAILS SIZE SESSIONS DOMAIN …``.

Sends MAILS mails of SIZE bytes, one recipient each, over so many sessions that last, as fast as they are answered;
commands go together as RFC 2920 allows. Writes a line of JSON when all are taken: start and last 250 (monotonic clock),
median and 95th percentile of the wait from MAIL to the last 250 (ms), CPU (s). A reply other than the one hoped for
ends it with an error.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Generator, Iterator

import uvloop

from master.demo.generator import stuffed

SENDER_DOMAIN = "news.postjet.test"
TIMEOUT = 300.0
_HEADER = (
    "From: Example Shop <news@{domain}>\r\nTo: <{to}>\r\nSubject: Your order {number}: thank you\r\n"
    "Date: Fri, 21 Nov 2025 21:00:37 +0000\r\nMessage-ID: <{number}.bench@{domain}>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    "List-Unsubscribe: <https://example.com/u/{number}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n"
)
_HEADER_SIZE = 390
_LETTERS = "etaoinshrdlucmfwypvbgk"


def body(size: int) -> bytes:
    """A text that compresses about as real mail does: words of an invented vocabulary, some of them often."""
    dice = random.Random(size)
    words = ["".join(dice.choices(_LETTERS, k=dice.randint(2, 9))) for _ in range(3000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    lines = list[str]()
    while size > 0:
        line = " ".join(dice.choices(words, weights, k=20))[:74] + "=\r\n"
        lines.append(line)
        size -= len(line)
    return "".join(lines).encode()


def mails(number: int, domains: list[str]) -> Iterator[tuple[bytes, bytes]]:
    """Commands and header of each mail."""
    for i in range(number):
        to = f"reader{i}@{domains[i % len(domains)]}"
        commands = f"MAIL FROM:<news@{SENDER_DOMAIN}>\r\nRCPT TO:<{to}>\r\nDATA\r\n"
        yield commands.encode(), _HEADER.format(domain=SENDER_DOMAIN, to=to, number=i).encode()


class Session(asyncio.Protocol):
    """One connection: takes mails from what all share until none is left, then ``done`` is set.

    ``taken`` gets the times of MAIL and of the last 250 of each mail.
    """

    def __init__(self, work: Iterator[tuple[bytes, bytes]], content: bytes, taken: list[tuple[float, float]]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._work, self._content, self._taken = work, content, taken
        self._buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._step = self._dialogue()
        next(self._step)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the relay closed the connection"))

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        try:
            for line in lines:
                if line[3:4] != b"-":
                    self._step.send(line)
        except StopIteration:
            self.done.set_result(None)
            self._transport.close()
        except ConnectionError as error:
            self.done.set_exception(error)
            self._transport.abort()

    def _dialogue(self) -> Generator[None, bytes, None]:
        """Is sent the replies. Raises ConnectionError for a wrong one."""
        _expect(220, (yield))
        self._transport.write(b"EHLO generator.test\r\n")
        _expect(250, (yield))
        for commands, header in self._work:
            start = time.monotonic()
            self._transport.write(commands)
            _expect(250, (yield))
            _expect(250, (yield))
            _expect(354, (yield))
            self._transport.writelines([header, self._content])
            _expect(250, (yield))
            self._taken.append((start, time.monotonic()))
        self._transport.write(b"QUIT\r\n")
        _expect(221, (yield))


def _expect(code: int, line: bytes) -> None:
    if not line.startswith(b"%d " % code):
        raise ConnectionError(f"the relay said {line.decode(errors='replace')!r}, not {code}")


async def run(port: int, number: int, size: int, sessions: int, domains: list[str]) -> None:
    """Send all and print. Raises ConnectionError, TimeoutError."""
    content, work = stuffed(body(size - _HEADER_SIZE)), mails(number, domains)
    taken = list[tuple[float, float]]()
    cpu, start = time.process_time(), time.monotonic()
    loop = asyncio.get_running_loop()
    opened = [loop.create_connection(lambda: Session(work, content, taken), "127.0.0.1", port) for _ in range(sessions)]
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*(session.done for _, session in await asyncio.gather(*opened)))
    end = max(end for _, end in taken)
    waits = sorted(end - start for start, end in taken)
    p50, p95 = (waits[len(waits) * percent // 100] * 1000 for percent in (50, 95))
    print(json.dumps({"start": start, "end": end, "p50": p50, "p95": p95, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    port, number, size, sessions = map(int, sys.argv[1:5])
    uvloop.run(run(port, number, size, sessions, sys.argv[5:]))
