"""The server's side of the SMTP dialogue, as far as a sink needs it."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from master.demo.sink_connection import ScriptedConnection
from master.demo.sink_mail import Mail

if TYPE_CHECKING:
    from master.demo.sink import Sink

MAX_LINE = 8192
_MAILMAX = re.compile(r"LIMITS [A-Z0-9= ]*\bMAILMAX=(\d+)")
_PATH = re.compile(r'(?:FROM|TO):\s*<((?:"(?:\\.|[^"\\])*"|[^">])*)>\s*(.*)', re.IGNORECASE | re.DOTALL)


class Session(ScriptedConnection):
    """Commands and messages of one connection."""

    def __init__(self, sink: "Sink") -> None:
        super().__init__(sink)
        self.ehlo = ""
        self.tls = ""
        self.mailmax = 0
        self._reset()

    def _reset(self) -> None:
        self.sender: str | None = None
        self.parameters: tuple[str, ...] = ()
        self.recipients: list[str] = []
        self.commands: list[str] = []
        self._in_data = False
        self._searched = 0
        """Where in the buffer the end of the message may begin at the earliest."""

    def step(self) -> bool:
        """Take one command or message from the buffer; False: none is complete."""
        return self._message() if self._in_data else self._command()

    def _command(self) -> bool:
        end = self.buffer.find(b"\r\n")
        if end < 0:
            if len(self.buffer) > MAX_LINE:
                self.say(421, "4.7.0", "Line too long")
            return False
        line = self.buffer[:end].decode("utf-8", "surrogateescape")
        del self.buffer[: end + 2]
        verb, _, argument = line.partition(" ")
        _COMMANDS.get(verb.upper(), Session._unknown)(self, argument)
        return True

    def _message(self) -> bool:
        """Take the message when all of it is there; a CRLF was put before it."""
        end = self.buffer.find(b"\r\n.\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(self.buffer) - 4)
            return False
        # RFC 5321 4.5.2: a period that begins a line is taken off
        content = bytes(self.buffer[: end + 2]).replace(b"\r\n.", b"\r\n")[2:]
        del self.buffer[: end + 5]
        rule = self.sink.rule("dot", self.recipients)
        if rule is None or rule.accepts:
            rule = rule or self.sink.rule("taken", self.recipients)
            self.sink.take(self._received(content, told=rule is None or rule.accepts))
        self._reset()
        self.answer(rule, self.line(250, "2.0.0", "Ok: taken"))
        return True

    def _received(self, content: bytes, *, told: bool) -> Mail:
        return Mail(
            sender=self.sender or "",
            parameters=self.parameters,
            recipients=tuple(self.recipients),
            commands=tuple(self.commands),
            content=content,
            ehlo=self.ehlo,
            tls=self.tls,
            peer=self.peer,
            connection=self.number,
            time=time.time(),
            told=told,
        )

    def _ehlo(self, argument: str) -> None:
        # RFC 3207 4.2: STARTTLS is not offered again under TLS
        offered = [name for name in self.sink.extensions if not (name == "STARTTLS" and self.tls)]
        *lines, last = self.sink.hostname, *offered
        if self.passes("ehlo", "".join(f"250-{line}\r\n" for line in lines) + f"250 {last}"):
            self.ehlo = argument
            self.mailmax = int(match[1]) if (match := _MAILMAX.search(" ".join(offered))) else 0
            self._reset()

    def _helo(self, argument: str) -> None:
        self.ehlo = argument
        self._reset()
        self.answer(None, f"250 {self.sink.hostname}")

    def _starttls(self, argument: str) -> None:
        if self.tls or "STARTTLS" not in self.sink.extensions:
            self.say(503, "5.5.1", "No TLS here")
        elif self.passes("starttls", self.line(220, "2.0.0", "Ready")):
            self.after_reply = self._begin_tls

    def _begin_tls(self) -> None:
        # RFC 3207 4.2: nothing learnt in the clear counts
        self.buffer.clear()
        self.ehlo = ""
        self._reset()
        self.task = asyncio.get_running_loop().create_task(self._handshake())

    async def _handshake(self) -> None:
        loop, transport = asyncio.get_running_loop(), None
        try:
            transport = await loop.start_tls(self.transport, self, self.sink.tls_context, server_side=True)
        except OSError:
            pass
        finally:
            if transport is None:  # asyncio tells no protocol that it was lost in the handshake
                self.transport.abort()
                self.connection_lost(None)
        if transport is not None:
            self.transport = transport
            self.tls = transport.get_extra_info("ssl_object").version()
            self.busy, self.after_reply = False, None
            self.work()

    def _mail(self, argument: str) -> None:
        path = _PATH.fullmatch(argument)
        if not self.ehlo or self.sender is not None:
            self.say(503, "5.5.1", "EHLO first, and one MAIL at a time")
        elif not path:
            self.say(501, "5.5.4", "MAIL FROM:<address>")
        elif self.mailmax and self.sink.transactions[self.number] >= self.mailmax:  # RFC 9422
            self.say(421, "4.7.0", "Too many messages on this connection")
        elif self.passes("mail", self.line(250, "2.1.0", "Ok")):
            self.sender, self.parameters = path[1], tuple(path[2].split())
            self.commands = [f"MAIL {argument}"]
            self.sink.transactions[self.number] += 1
            self.sink.traced("mail", self.number, self.sender)

    def _rcpt(self, argument: str) -> None:
        path = _PATH.fullmatch(argument)
        if self.sender is None:
            self.say(503, "5.5.1", "MAIL first")
        elif not path:
            self.say(501, "5.5.4", "RCPT TO:<address>")
        elif self.passes("rcpt", self.line(250, "2.1.5", "Ok"), path[1]):
            self.recipients.append(path[1])
            self.commands.append(f"RCPT {argument}")

    def _data(self, argument: str) -> None:
        if not self.recipients:
            self.say(503, "5.5.1", "RCPT first")
        elif self.passes("data", "354 End with <CRLF>.<CRLF>", *self.recipients):
            self._in_data = True
            self.buffer[:0] = b"\r\n"  # so that the end of an empty message is found as any other

    def _rset(self, argument: str) -> None:
        self.sink.resets += 1
        self._reset()
        self.passes("rset", self.line(250, "2.0.0", "Ok"))

    def _noop(self, argument: str) -> None:
        self.say(250, "2.0.0", "Ok")

    def _quit(self, argument: str) -> None:
        self.passes("quit", self.line(221, "2.0.0", "Bye"))

    def _unknown(self, argument: str) -> None:
        self.say(500, "5.5.2", "Command not known")


_COMMANDS: dict[str, Callable[[Session, str], None]] = {
    "EHLO": Session._ehlo, "HELO": Session._helo, "STARTTLS": Session._starttls, "MAIL": Session._mail,
    "RCPT": Session._rcpt, "DATA": Session._data, "RSET": Session._rset, "NOOP": Session._noop,
    "QUIT": Session._quit,
}  # fmt: skip
