"""What a server may say: framing and content worked out anew, byte by byte and line by line, from the stream alone.

Whether a command is taken is the server's to say; that it is answered once, where it ends, and what a 250 to a
message means is not.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple


class Answer(NamedTuple):
    """A reply of the server."""

    code: int
    close: bool


class Stored(NamedTuple):
    """A submission that was queued."""

    recipients: tuple[str, ...]
    content: bytes


class WrongError(Exception):
    """The server did what it must not."""


@dataclass
class Model:
    """One session, seen afterwards."""

    stream: bytes
    answers: list[Answer]
    """Without the greeting."""
    stored: list[Stored]
    mends: bool
    """Bare line ends are mended, not refused."""
    mends_for_user: bool
    """The same once somebody has logged in."""
    postmaster: str
    whole: bool = True
    """All that the server said is in ``answers``; false: the connection was lost."""
    recipients: list[str] = field(default_factory=list)
    content: bytes = b""
    at: int = 0
    exchange: bool = False
    """AUTH goes on: the next line belongs to it."""

    def __post_init__(self) -> None:
        self._mends = self.mends

    def check(self) -> None:
        """Raises WrongError."""
        while self._command():
            pass
        if self.whole and self.answers:
            raise WrongError(f"answers to nothing: {self.answers[:3]}")
        if self.whole and self.stored:
            raise WrongError(f"queued without 250: {self.stored[0].recipients}")

    def _command(self) -> bool:
        """One line and what belongs to it; whether the session goes on."""
        end = self.stream.find(b"\n", self.at) + 1
        if not end:
            return False
        line, self.at = self.stream[self.at : end], end
        words = line.rstrip(b"\r\n \t").split()
        verb = words[0].upper() if words else b""
        if self.exchange:
            verb = b"AUTH"
        elif line.endswith(b"\r\n") and _BDAT.fullmatch(line[:-2].rstrip(b" \t")):
            return self._chunk(int(words[1]), last=len(words) == 3)
        answer = self._answer(line)
        if not answer or answer.close:
            return False
        self.exchange = verb == b"AUTH" and answer.code == 334
        if verb == b"AUTH" and answer.code == 235:
            self._mends = self.mends_for_user
        if verb in (b"EHLO", b"HELO", b"RSET") and answer.code == 250:
            self._reset()
        if verb == b"STARTTLS" and answer.code == 220:
            self._reset()
            self._mends = self.mends
        if verb == b"MAIL" and answer.code == 250:
            self._reset()
        if verb == b"RCPT" and answer.code == 250:
            self._recipient(line)
        return self._data() if verb == b"DATA" and answer.code == 354 else True

    def _data(self) -> bool:
        end = (b"\r\n" + self.stream[self.at :]).find(b"\r\n.\r\n")
        if end < 0:
            return False
        lines = self.stream[self.at : self.at + end].split(b"\r\n")[:-1] if end else []
        self.at += end + 3
        self.content = b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines)
        return self._ended()

    def _chunk(self, size: int, *, last: bool) -> bool:
        if self.answers and self.answers[0].close and self.answers[0].code in (421, 552):
            self.answers.pop(0)
            return False
        if len(self.stream) - self.at < size:
            return False
        self.content += self.stream[self.at : self.at + size]
        self.at += size
        if last:
            return self._ended()
        answer = self._answer(b"BDAT")
        if not answer or answer.close:
            return False
        if answer.code != 250:
            self._reset()
        elif not self.recipients:
            raise WrongError("a chunk was taken without recipients")
        return True

    def _ended(self) -> bool:
        """A message is whole."""
        answer = self._answer(b"the end of a message")
        if not answer:
            return False
        if answer.code == 250:
            self._accepted()
        if self.recipients or answer.code == 250:
            self._reset()
        else:
            self.content = b""
        return not answer.close

    def _accepted(self) -> None:
        if not self.recipients:
            raise WrongError("250 to a message without recipients")
        if not self.stored:
            raise WrongError("250 to a message that was not queued")
        one = self.stored.pop(0)
        if not _same(one.recipients, self.recipients):
            raise WrongError(f"queued for {one.recipients}, meant for {self.recipients}")
        clean = mended(self.content)
        ended = self.content if self.content.endswith(b"\r\n") or not self.content else self.content + b"\r\n"
        if not self._mends and clean != ended:
            raise WrongError(f"bare line ends were taken: {self.content!r}")
        expected = edited(clean)
        added = one.content.removesuffix(expected)
        if added == one.content or not _ADDED.fullmatch(added):
            raise WrongError(f"queued {one.content!r} for {expected!r}")

    def _answer(self, to: bytes) -> Answer | None:
        if self.answers:
            return self.answers.pop(0)
        if self.whole:
            raise WrongError(f"no answer to {to[:80]!r}")
        return None

    def _recipient(self, line: bytes) -> None:
        path = line.decode()
        address = path[path.index("<") + 1 : path.rindex(">")].rpartition(":")[2]
        if address.lower() == "postmaster":
            address = self.postmaster
        local, at, domain = address.rpartition("@")
        address = local + at + domain.lower()
        if address not in self.recipients:
            self.recipients.append(address)

    def _reset(self) -> None:
        self.recipients, self.content = [], b""


_BDAT = re.compile(rb"BDAT +[0-9]{1,20}( +LAST)?", re.IGNORECASE)
_ADDED = re.compile(
    rb"Received: from [^\r\n]+\r\n(\t\(version=[^\r\n]+\)\r\n)?\tby [^\r\n]+(\r\n\tfor [^\r\n]+)?;\r\n\t[^\r\n]+\r\n"
    rb"(Message-ID: <[^\r\n]+\r\n)?(Date: [^\r\n]+\r\n)?"
)


def _same(queued: tuple[str, ...], meant: list[str]) -> bool:
    """Whether they are the same addresses; what IDNA makes of a domain is not worked out here."""
    pairs = list(zip(queued, meant, strict=False))
    return len(queued) == len(meant) and all(
        a == b if b.isascii() else a.rpartition("@")[0] == b.rpartition("@")[0] and "xn--" in a for a, b in pairs
    )


def mended(content: bytes) -> bytes:
    """Content with CRLF alone, byte by byte."""
    out = bytearray()
    waiting = False  # CRs
    for byte in content.replace(b"\0", b""):
        if byte == 13:
            waiting = True
        elif byte == 10:
            out += b"\r\n"
            waiting = False
        else:
            out += b" " * waiting
            out.append(byte)
            waiting = False
    if waiting or (out and not out.endswith(b"\r\n")):
        out += b"\r\n"
    return bytes(out)


def edited(content: bytes) -> bytes:
    """Content without the fields that do not leave, line by line; with an empty line behind its header section."""
    lines = content.split(b"\r\n")[:-1]
    kept: list[bytes] = []
    keep = begun = False
    while lines:
        name, colon, _ = lines[0].partition(b":")
        name = name.rstrip(b" \t").lower()
        if lines[0][:1] in (b" ", b"\t") and begun:
            pass
        elif colon and name and all(33 <= byte <= 126 for byte in name):
            begun = True
            keep = name not in (b"bcc", b"resent-bcc") and not name.startswith(b"x-postjet-")
        else:
            break
        line = lines.pop(0)
        if keep:
            kept.append(line)
    body = lines if lines and not lines[0] else [b"", *lines]
    return b"".join(line + b"\r\n" for line in [*kept, *body])
