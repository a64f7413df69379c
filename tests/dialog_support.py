"""Reads tests/dialogs/*.smtp, whose README.md explains the lines, and holds the conversations."""

import fnmatch
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

#: RFC 2034 section 4: replies have an enhanced code of their class; but the greeting, those to HELO and EHLO, and 3xx.
CODED = re.compile(
    r"([245])\d\d \1(\.\d{1,3}){2} .+|3[35]4 .*|2[25]0 (mta1\.example\.net|LIMITS|STARTTLS|AUTH|XCLIENT).*"
)
_RESULTS = ("queued: ", "entry: ", "content: ")
DIALOGS = sorted((Path(__file__).parent / "dialogs").glob("*.smtp"))


class Client(Protocol):
    """A connection to a server."""

    def write(self, data: bytes) -> None: ...
    async def line(self) -> str: ...
    async def reply(self) -> str: ...
    async def start_tls(self) -> None: ...


class Dialog(NamedTuple):
    """One file."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def read(cls, file: Path) -> "Dialog":
        return cls(file.name, tuple(file.read_text().splitlines()))

    @property
    def keys(self) -> dict[str, Any]:
        """What the listener is configured with."""
        return tomllib.loads("\n".join(self._all("listener: ")))

    @property
    def users(self) -> list[list[str]]:
        """Names with the senders that each may use."""
        return [line.split() for line in self._all("user: ")]

    @property
    def queued(self) -> list[str]:
        return list(self._all("queued: "))

    @property
    def standard(self) -> bool:
        """Whether every server says so."""
        return "# standard" in self.lines

    def entries(self) -> Iterator[tuple[int, int, str]]:
        """Which submission, which of its entries, and what that must be."""
        submission = number = -1
        for line in self.lines:
            if line.startswith("queued: "):
                submission, number = submission + 1, -1
            elif line.startswith("entry: "):
                number += 1
                yield submission, number, line.removeprefix("entry: ")

    def contents(self) -> Iterator[tuple[int, bytes]]:
        """Which submission, and what it ends in."""
        number = -1
        for line in self.lines:
            number += line.startswith("queued: ")
            if line.startswith("content: "):
                yield number, _bytes(line.removeprefix("content: "))

    async def hold(self, client: Client, *, codes: bool = False) -> None:
        """Say and hear all of it; with ``codes`` only the codes of the replies have to agree."""
        for number, line in enumerate(self.lines, 1):
            where, text = f"{self.name}:{number}", line[3:]
            match line[:3]:
                case "C: ":
                    client.write(text.encode() + b"\r\n")
                case "C> ":
                    client.write(_bytes(text))
                case "C* ":
                    times, _, text = text.partition(" ")
                    client.write((text.encode() + b"\r\n") * int(times))
                case "S: " if codes and text[3:4] == "-":
                    pass  # the last line of the reply has its code too
                case "S: " | "S* ":
                    one = line[1] == ":" and not codes
                    reply = await client.line() if one else (await client.reply()).rpartition("\n")[2]
                    if codes:
                        reply, text = reply[:3], text[:3]
                    assert codes or reply[3] == "-" or CODED.fullmatch(reply), f"{where}: {reply}"
                    # Brackets are no wildcards here: addresses of clients are written in them.
                    assert fnmatch.fnmatchcase(reply, text.replace("[", "[[]")), f"{where}: {reply}"
                case "tls":
                    await client.start_tls()
                case "S c":
                    assert await client.line() == "", where
                case _:
                    assert not line or line.startswith(("#", "listener: ", "user: ", *_RESULTS)), where

    def _all(self, key: str) -> Iterator[str]:
        return (line.removeprefix(key) for line in self.lines if line.startswith(key))


def _bytes(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")
