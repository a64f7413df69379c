"""One SMTP connection to one address: opened, used for many messages, closed."""

import asyncio
import contextlib
import functools
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Self

from common.policies.policy import Policy
from outbound import smtp
from outbound.failure import DeliveryFailure, NotNowError, rejected, temporary
from outbound.reply import Reply, ReplyError
from outbound.routing import Target
from outbound.smtp import Envelope, Extensions
from outbound.wire import Wire

#: Seconds that a peer is given to answer QUIT.
QUIT_TIMEOUT = 5.0
#: Linux, ip(7): the port is chosen when we connect, so that one address has its 28,000 ports for each target.
_BIND_ADDRESS_NO_PORT = 24


#: Called before every connection that is made; raises NotNowError where that has to wait.
Gate = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Login:
    """What a smarthost asks for; without a name nothing is said."""

    username: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server's yes to a message."""

    code: int
    enhanced: str
    text: str


class Connection:
    """Greeted, in TLS where it is offered, logged in where asked for: ready for messages.

    One task uses it at a time. Whatever leaves the dialogue out of step closes it.
    """

    def __init__(self, wire: Wire, target: Target, policy: Policy) -> None:
        self._wire = wire
        self._policy = policy
        self._in_step = True
        self._needs_reset = False
        self.target = target
        self.source_address = wire.local_address
        self.offered = Extensions()
        self.messages = 0
        self.used_up = False
        """To be closed after its message: it has carried as many as it may."""
        self.tls_version = ""
        self.tls_cipher = ""

    @classmethod
    async def open(
        cls, target: Target, ehlo: str, policy: Policy, login: Login, gate: Gate, source: str = ""
    ) -> Self:
        """Connect and greet as ``ehlo``, from an address of ours or the system's choice.

        Raises DeliveryFailure, and NotNowError where ``gate`` does so the first time.
        """
        with _about(target, source):
            await gate()
            try:
                return await cls._open(target, ehlo, policy, login, source, tls=policy.tls != "none")
            except DeliveryFailure as failure:
                # RFC 7435 3: encryption where it works, else in clear; not with a password to send
                if failure.reason != "tls" or login.username or policy.tls == "required":
                    raise
                try:
                    await gate()
                except NotNowError:  # what the host said counts, not that its next connection would be later
                    raise failure from None
            return await cls._open(target, ehlo, policy, login, source, tls=False)

    @classmethod
    async def _open(
        cls, target: Target, ehlo: str, policy: Policy, login: Login, source: str, tls: bool
    ) -> Self:
        connection = cls(await _connect(target, policy.connect_timeout, source), target, policy)
        try:
            with _about(target, connection.source_address):
                await connection._greet(ehlo, login, tls)
        except BaseException:
            connection.abort()
            raise
        return connection

    @property
    def usable(self) -> bool:
        """Ready for another message, as far as can be known without asking."""
        return self._in_step and self._wire.idle

    @property
    def closed_by_peer(self) -> bool:
        """It was not we who closed it."""
        return self._wire.closed_by_peer

    async def deliver(self, envelope: Envelope, message: bytes) -> Accepted:
        """Send a message with CRLF line ends to one recipient. Raises DeliveryFailure."""
        with _about(self.target, self.source_address):
            commands = smtp.transaction(envelope, message, self.offered, time.time())
            self.messages += 1
            self._in_step = False
            try:
                await self._begin(commands)
                reply = await self._send(message)
            finally:
                if not self._in_step:
                    self.abort()
            if reply.kind != 2:
                raise rejected(reply, "dot")
        return Accepted(reply.code, reply.enhanced or "2.0.0", reply.text)

    async def quit(self) -> None:
        """Close politely: returns when the peer has answered or closed, or had its time."""
        if self.usable:
            with contextlib.suppress(OSError, ReplyError):
                self._wire.write(b"QUIT\r\n")
                await self._wire.reply(QUIT_TIMEOUT)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._in_step = False
        self._wire.abort()

    async def _begin(self, commands: list[tuple[str, bytes]]) -> None:
        """The commands up to DATA, in one go where the server takes that (RFC 2920)."""
        if self._needs_reset:
            commands = [("rset", b"RSET\r\n"), *commands]
        self._needs_reset = True
        if self.offered.pipelining:
            self._wire.write(b"".join(line for _, line in commands))
        failure = None
        for phase, line in commands:
            if not self.offered.pipelining:
                self._wire.write(line)
            reply = await self._reply(phase)
            if reply.kind != (3 if phase == "data" else 2):
                failure = failure or rejected(reply, phase)
                if not self.offered.pipelining:
                    break
        if failure:
            # Where DATA was let through all the same, closing is the one way to send no message.
            self._in_step = failure.reason == "rejected" and phase != "rset" and reply.kind in (4, 5)
            raise failure

    async def _send(self, message: bytes) -> Reply:
        try:
            await self._wire.write_all(smtp.data(message), self._policy.command_timeout)
        except TimeoutError:
            raise temporary("4.4.2", "peer takes no data", phase="data", reason="timeout") from None
        # RFC 5321 4.5.3.2.6: more patience for this reply than for others; who gives up sends a duplicate
        reply = await self._reply("dot", 2)
        self._in_step, self._needs_reset = reply.kind != 3, False
        return reply

    async def _greet(self, ehlo: str, login: Login, tls: bool) -> None:
        reply = await self._reply("banner")
        if reply.kind != 2:
            raise _unwelcome(reply, "banner")
        await self._hello(ehlo)
        if tls and self.offered.starttls and await self._start_tls(verify=bool(login.username)):
            await self._hello(ehlo)  # RFC 3207 4.2
        if self._policy.tls == "required" and not self.tls_version:
            raise temporary("4.7.4", "TLS is required, and not offered", phase="starttls", reason="tls")
        if login.username:
            await self._authenticate(login)

    async def _hello(self, ehlo: str) -> None:
        reply = await self._command("ehlo", f"EHLO {ehlo}".encode())
        if reply.kind == 2:
            self.offered = Extensions.parse(reply)
            return
        self.offered = Extensions()
        if reply.kind == 5:  # RFC 5321 3.2
            reply = await self._command("ehlo", f"HELO {ehlo}".encode())
        if reply.kind != 2:
            raise _unwelcome(reply, "ehlo")

    async def _start_tls(self, *, verify: bool) -> bool:
        """False when the server, having offered TLS, declines it: RFC 3207 4.1 lets us go on in clear."""
        if (await self._command("starttls", b"STARTTLS")).kind != 2:
            return False
        context = _tls_context(verify)
        try:
            tls = await self._wire.start_tls(context, self.target.host, self._policy.connect_timeout)
        except OSError as error:
            raise temporary("4.7.5", f"TLS handshake failed: {error}", phase="starttls", reason="tls") from None
        self.tls_version, self.tls_cipher = tls.version() or "", (tls.cipher() or ("",))[0]
        return True

    async def _authenticate(self, login: Login) -> None:
        """Log in (RFC 4954), over TLS only. A failure is temporary: the operator's mistake bounces no mail."""
        username, password = login.username, login.password
        if not self.tls_version:
            raise temporary("4.7.0", "no TLS, so no password is sent", phase="auth", reason="auth")
        if "PLAIN" in self.offered.auth:
            steps = [b"AUTH PLAIN " + smtp.encoded(f"\0{username}\0{password}")]  # RFC 4616 2
        elif "LOGIN" in self.offered.auth:
            steps = [b"AUTH LOGIN", smtp.encoded(username), smtp.encoded(password)]
        else:
            raise temporary("4.7.0", "server offers no AUTH PLAIN or LOGIN", phase="auth", reason="auth")
        for step in steps:
            reply = await self._command("auth", step)
            if reply.kind != (2 if step is steps[-1] else 3):
                failure = rejected(reply, "auth")
                failure.permanent, failure.reason = False, "auth"
                raise failure

    async def _command(self, phase: str, line: bytes) -> Reply:
        self._wire.write(line + b"\r\n")
        return await self._reply(phase)

    async def _reply(self, phase: str, patience: float = 1) -> Reply:
        """The next reply, unless it is none or 421, after which the connection is of no use."""
        timeout = self._policy.command_timeout * patience
        unknown = "; whether it took the message is unknown" if phase == "dot" else ""
        try:
            reply = await self._wire.reply(timeout)
        except TimeoutError:
            text = f"no reply within {timeout:g} s{unknown}"
            raise temporary("4.4.2", text, phase=phase, reason="timeout") from None
        except ReplyError as error:
            raise temporary("4.5.0", f"{error}{unknown}", phase=phase, reason="protocol") from None
        except ConnectionError:
            text = f"peer closed the connection{unknown}"
            raise temporary("4.4.2", text, phase=phase, reason="closed") from None
        if reply.code == 421:  # RFC 5321 3.8
            raise rejected(reply, phase)
        return reply


async def _connect(target: Target, timeout: float, source: str) -> Wire:
    try:
        async with asyncio.timeout(timeout):
            return await _wire(target, source)
    except TimeoutError:
        text = f"connect to {target}: no answer within {timeout:g} s"
        raise temporary("4.4.1", text, phase="connect", reason="timeout") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise temporary("4.4.1", f"connect to {target}: {why}", phase="connect", reason="connect") from None


async def _wire(target: Target, source: str) -> Wire:
    """Raises OSError, and DeliveryFailure where the source is not ours."""
    loop = asyncio.get_running_loop()
    if not source:
        _, wire = await loop.create_connection(Wire, target.address, target.port)
        return wire
    sock = _bound(source)
    try:
        await loop.sock_connect(sock, (target.address, target.port))
        _, wire = await loop.create_connection(Wire, sock=sock)
    except BaseException:
        sock.close()
        raise
    return wire


def _bound(source: str) -> socket.socket:
    """A socket that connects from an address of ours. Raises DeliveryFailure where it is not ours."""
    sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    sock.setblocking(False)
    try:
        sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
    except OSError as error:
        sock.close()
        text = f"source address {source}: {os.strerror(error.errno or 0)}"
        raise temporary("4.4.1", text, phase="connect", reason="source") from None
    return sock


def _unwelcome(reply: Reply, phase: str) -> DeliveryFailure:
    """Refused before any recipient was named: says nothing about ours, unless the host takes mail for nobody."""
    failure = rejected(reply, phase)
    failure.permanent = reply.code == 521  # RFC 7504 3
    return failure


@functools.cache
def _tls_context(verify: bool) -> ssl.SSLContext:
    """Certificates are verified, against the system's authorities, where a password follows."""
    if verify:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _about(target: Target, source_address: str) -> Iterator[None]:
    """Names the host in failures, and where we came from."""
    try:
        yield
    except DeliveryFailure as failure:
        failure.host, failure.address = target.host, target.address
        failure.source_address = failure.source_address or source_address
        raise
