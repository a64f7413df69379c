"""A connection to a sink: a buffer of commands, and replies that follow the script."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from master.demo.server import pass_time
from master.demo.sink_script import GARBAGE, Phase, Rule

if TYPE_CHECKING:
    from master.demo.sink import Sink


class ScriptedConnection(asyncio.Protocol, ABC):
    """Takes bytes as they come; commands that came together are answered together (RFC 2920 3.2)."""

    def __init__(self, sink: "Sink") -> None:
        self.sink = sink
        self.buffer = bytearray()
        self.after_reply: Callable[[], None] | None = None
        """What follows, in place of the next command, when the replies have left."""
        self.busy = False
        """Nothing is read from the buffer for now, or ever again."""
        self.task: asyncio.Task[None] | None = None
        self._replies: list[str] = []
        self._no_tls = False

    @abstractmethod
    def step(self) -> bool:
        """Take one command or message from the buffer; False: none is complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.peer = transport.get_extra_info("peername")[0]
        self.number = self.sink.opened(self)
        self.answer(self.sink.rule("connect") or self.sink.rule("banner"), f"220 {self.sink.hostname} ESMTP sink")
        self.work()

    def connection_lost(self, exc: Exception | None) -> None:
        self.busy = True
        if self.task:
            self.task.cancel()
        self.sink.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._no_tls:
            self.transport.write(GARBAGE.encode("utf-8", "surrogateescape"))
            self.transport.close()
            return
        self.buffer += data
        self.work()

    def work(self) -> None:
        """Do all that is complete in the buffer."""
        while not self.busy and not self.after_reply and self.step():
            pass
        self._flush()
        if self.after_reply and not self.busy:
            self.busy = True
            self.after_reply()

    def say(self, code: int, enhanced: str, text: str) -> None:
        """A reply that no rule changes."""
        self.answer(None, self.line(code, enhanced, text))

    def line(self, code: int, enhanced: str, text: str) -> str:
        """A reply's line, with the enhanced code where these are offered (RFC 2034)."""
        return f"{code} {enhanced} {text}" if self.sink.enhanced else f"{code} {text}"

    def passes(self, phase: Phase, reply: str, *recipients: str) -> bool:
        """Answer as the script says, else with ``reply``; whether the command is to be carried out."""
        rule = self.sink.rule(phase, recipients)
        self.answer(rule, reply)
        return rule is None or rule.accepts

    def answer(self, rule: Rule | None, reply: str) -> None:
        """Do what the rule says, after its wait; without a rule: ``reply``."""
        if rule and rule.wait:
            self.busy = True
            self.task = asyncio.get_running_loop().create_task(self._answer_late(rule, reply))
        else:
            self._act(rule, reply)

    async def _answer_late(self, rule: Rule, reply: str) -> None:
        await pass_time(rule.wait)
        self.busy = False
        self._act(rule, reply)
        self.work()

    def _act(self, rule: Rule | None, reply: str) -> None:
        if rule is None or rule.do == "reply":
            line = (rule and rule.reply) or reply
            self._replies.append(line + "\r\n")
            if line.startswith(("221", "421")):
                self.after_reply = self.transport.close
        elif rule.do == "garbage":
            self._no_tls = rule.phase == "starttls"
            self._replies.append(reply + "\r\n" if self._no_tls else GARBAGE)
        else:
            self.busy = True
            if rule.do == "drop":
                self._flush()
                self.transport.abort()

    def _flush(self) -> None:
        if self._replies:
            self.transport.write("".join(self._replies).encode("utf-8", "surrogateescape"))
            self._replies.clear()
