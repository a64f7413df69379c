"""An MX host on loopback that takes everything, keeps what it took and misbehaves as its script says.

As a process of its own: ``python -m master.demo.sink --bind 127.0.0.2:2500 --log FILE``.
"""

import argparse
import asyncio
import json
import signal
import ssl
import time
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from io import FileIO
from pathlib import Path

import uvloop

from common.section import split_host_port
from master.demo.certificates import self_signed, server_context
from master.demo.server import LoopbackServer
from master.demo.sink_connection import ScriptedConnection
from master.demo.sink_mail import Mail
from master.demo.sink_script import Phase, Rule
from master.demo.sink_session import Session

#: What a sink offers unless told; ``STARTTLS`` works when added, and to ``LIMITS MAILMAX=…`` clients are held.
EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 104857600", "ENHANCEDSTATUSCODES", "SMTPUTF8")
#: What it may offer besides, and takes no notice of.
ASKING = ("DSN", "DELIVERBY", "MT-PRIORITY MIXER")


class Sink(LoopbackServer):
    """An SMTP server that takes everything.

    ``received`` has every mail unless ``keep`` is false; ``log`` gets a JSON line for every recipient before
    the 250 leaves; ``trace`` one for every connection that opens or closes and every MAIL, by the monotonic clock.
    ``rules`` is the script: the first that applies counts.
    """

    def __init__(
        self,
        *rules: Rule,
        hostname: str = "mx.test",
        extensions: Iterable[str] = EXTENSIONS,
        keep: bool = True,
        log: Path | None = None,
        trace: Path | None = None,
    ) -> None:
        super().__init__()
        self.rules = list(rules)
        self.hostname = hostname
        self.extensions = tuple(extensions)
        self.enhanced = "ENHANCEDSTATUSCODES" in self.extensions
        self.received: list[Mail] = []
        self.mails = 0
        self.connections = 0
        self.max_open = 0
        self.resets = 0
        self.transactions: Counter[int] = Counter()
        """MAIL commands accepted, by connection number."""
        self._keep = keep
        self._log_path, self._trace_path = log, trace
        self._log: FileIO | None = None
        self._trace: FileIO | None = None
        self._sessions: set[ScriptedConnection] = set()

    async def start(self, host: str = "127.0.0.2", port: int = 0) -> None:
        """Listen on ``host:port``; port 0 takes a free one. Raises OSError."""
        if self._log_path:
            self._log = FileIO(self._log_path, "a")  # without a buffer: what is written outlives the process
        if self._trace_path:
            self._trace = FileIO(self._trace_path, "a")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), host, port, backlog=1024)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Close the port and all connections at once. What was received stays."""
        self.port = 0
        self._server.close()
        for session in list(self._sessions):
            session.transport.abort()
        await self.wait_until(lambda: not self._sessions)
        for file in (self._log, self._trace):
            if file:
                file.close()

    @property
    def open(self) -> int:
        """Connections open now."""
        return len(self._sessions)

    @cached_property
    def identity(self) -> tuple[bytes, bytes]:
        """Self-signed certificate for ``hostname`` and its key, PEM."""
        return self_signed(self.hostname)

    @cached_property
    def tls_context(self) -> ssl.SSLContext:
        """Of the server's side of STARTTLS."""
        return server_context(*self.identity)

    async def wait_for(self, mails: int, timeout: float = 10.0) -> None:
        """Return once so many mails were received in all. Raises TimeoutError after ``timeout`` seconds."""
        await self.wait_until(lambda: self.mails >= mails, timeout)

    # what its sessions tell and ask

    def opened(self, session: ScriptedConnection) -> int:
        """A connection begins; its number."""
        self._sessions.add(session)
        self.connections += 1
        self.max_open = max(self.max_open, self.open)
        self.changed()
        self.traced("open", self.connections)
        return self.connections

    def closed(self, session: ScriptedConnection) -> None:
        """A connection is gone."""
        if session in self._sessions:
            self._sessions.discard(session)
            self.traced("close", session.number)
        self.changed()

    def rule(self, phase: Phase, recipients: Iterable[str] = ()) -> Rule | None:
        """The rule that applies now, counted as used."""
        for rule in self.rules:
            if rule.applies(phase, recipients):
                rule.used += 1
                self.changed()
                return rule
        return None

    def traced(self, what: str, connection: int, sender: str = "") -> None:
        """A connection opens or closes, or a transaction begins."""
        if self._trace:
            line = {"time": time.monotonic(), "what": what, "connection": connection, "sender": sender}
            self._trace.write(json.dumps(line).encode() + b"\n")

    def take(self, mail: Mail) -> None:
        """A mail is received."""
        if self._log:
            line = {"message_id": mail.message_id, "time": mail.time, "connection": mail.connection}
            for recipient in mail.recipients:
                self._log.write(json.dumps({**line, "recipient": recipient}).encode() + b"\n")
        if self._keep:
            self.received.append(mail)
        self.mails += 1
        self.changed()


async def serve(sink: Sink, host: str, port: int) -> None:
    """Run a sink until SIGTERM or SIGINT; its address is written to standard output when it listens."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await sink.start(host, port)
    async with sink:
        print(sink.address, flush=True)
        await over.wait()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="An MX host on loopback that takes everything.")
    parser.add_argument("--bind", default="127.0.0.2:2500", help="host:port; port 0 takes a free one")
    parser.add_argument("--log", type=Path, help="file that gets a JSON line for every recipient")
    parser.add_argument("--trace", type=Path, help="file that gets a JSON line for connections and transactions")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds before the reply to a message")
    parser.add_argument("--starttls", action="store_true", help="offer STARTTLS with a self-signed certificate")
    arguments = parser.parse_args()
    extensions = (*EXTENSIONS, "STARTTLS") if arguments.starttls else EXTENSIONS
    rules = [Rule(phase="dot", wait=arguments.wait)] if arguments.wait else []
    sink = Sink(*rules, keep=False, extensions=extensions, log=arguments.log, trace=arguments.trace)
    uvloop.run(serve(sink, *split_host_port(arguments.bind)))


if __name__ == "__main__":
    main()
