"""AUTH (RFC 4954) and its mechanisms PLAIN, LOGIN and SCRAM-SHA-256 as state machines without I/O.

How the dialogue uses it::

    exchange = Exchange(users.verifier)         # users: common.users.users.Users
    step = exchange.begin("PLAIN AGFsaWNl…")    # the argument of AUTH
    while isinstance(step, Challenge):
        … send step.reply, read a line …
        step = exchange.answer(line)
    user_or_reply = await logins.finish(client, exchange.mechanism, step)   # smtpd_ingress.logins

Each mechanism is a generator: it yields challenges, is sent responses, and returns how it ended, or raises
``_RefusedError``. Whether AUTH may come now (503 5.5.1, 538 5.7.11) is the dialogue's to know.
"""

import binascii
from base64 import b64encode
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass

from common.codes import BAD_ARGUMENT, Reply
from common.users.credentials import Verifier
from common.users.saslprep import saslprep
from smtpd_ingress.scram import ScramError, ScramServer

# RFC 4616 section 2: names and passwords of 255 octets are to be taken.
_MAX_CREDENTIAL = 1024

# RFC 4954 sections 4 and 6.
AUTHENTICATED = Reply(235, "2.7.0", "Authentication successful")
BAD_BASE64 = Reply(501, "5.5.2", "Response is not base64")
MALFORMED = Reply(501, "5.5.2", "Malformed response")
CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")
BAD_MECHANISM = Reply(504, "5.5.4", "Authentication mechanism not supported")
BAD_CREDENTIALS = Reply(535, "5.7.8", "Authentication credentials invalid")


@dataclass(frozen=True, slots=True)
class Challenge:
    """The exchange goes on: send ``reply`` and read a line."""

    data: bytes

    @property
    def reply(self) -> Reply:
        """The 334 to send."""
        return Reply(334, "", b64encode(self.data).decode())


@dataclass(frozen=True, slots=True)
class Check:
    """Name and password, prepared (SASLprep), still to be checked by ``Logins``."""

    name: str
    password: str

    def __repr__(self) -> str:  # for logs and tracebacks
        return f"Check({self.name!r})"


@dataclass(frozen=True, slots=True)
class Done:
    """The client has proved that it is this user."""

    name: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The exchange has failed; ``name`` is whom the client said to be where that was wrong, not only its syntax."""

    reply: Reply
    name: str = ""


Step = Challenge | Check | Done | Failed


class _RefusedError(Exception):
    def __init__(self, reply: Reply, name: str = "") -> None:
        super().__init__(str(reply))
        self.failed = Failed(reply, name)


_Mechanism = Generator[bytes, bytes, Check | Done]
Find = Callable[[str], Verifier]


def _plain(_find: Find) -> _Mechanism:
    """RFC 4616."""
    message = yield b""
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise _RefusedError(MALFORMED)
    authzid, name, password = map(_text, parts)
    return _check(authzid, name, password)


def _login(_find: Find) -> _Mechanism:
    """What old clients speak: a name, a password (draft-murchison-sasl-login)."""
    name = _text((yield b"Username:"))
    password = _text((yield b"Password:"))
    return _check("", name, password)


def _scram(find: Find) -> _Mechanism:
    """RFC 5802, RFC 7677."""
    server = ScramServer(find)
    try:
        response = yield server.first((yield b""))
        proof = server.final(response)
    except ScramError as error:
        raise _RefusedError(MALFORMED.but(f"Malformed response: {error}")) from None
    if not proof:
        raise _RefusedError(BAD_CREDENTIALS, server.name)
    # RFC 4954 section 4: what a success tells is a challenge, whose answer is empty
    if (yield proof):
        raise _RefusedError(MALFORMED)
    return Done(server.name)


def _text(response: bytes) -> str:
    if len(response) > _MAX_CREDENTIAL:
        raise _RefusedError(MALFORMED)
    try:
        return response.decode()
    except UnicodeDecodeError:
        raise _RefusedError(MALFORMED) from None


def _check(authzid: str, name: str, password: str) -> Check:
    try:
        prepared = Check(saslprep(name), saslprep(password))
        # RFC 4616 section 2: to act as somebody else is nobody's right here.
        if authzid and saslprep(authzid) != prepared.name:
            raise _RefusedError(BAD_CREDENTIALS, prepared.name)
    except ValueError:
        raise _RefusedError(BAD_CREDENTIALS, name) from None
    return prepared


_MECHANISMS: dict[str, Callable[[Find], _Mechanism]] = {"SCRAM-SHA-256": _scram, "PLAIN": _plain, "LOGIN": _login}
#: As EHLO offers them, the best first.
MECHANISMS = tuple(_MECHANISMS)


class Exchange:
    """One AUTH command and what follows it. ``find`` gives the verifier of a name, of an unknown one too."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.mechanism = ""
        """``""`` until ``begin`` has found it."""

    def begin(self, argument: str, offered: Collection[str] = MECHANISMS) -> Step:
        """The argument of AUTH: a mechanism of those offered and, perhaps, an initial response."""
        mechanism, _, initial = argument.strip(" ").partition(" ")
        if not mechanism:
            return Failed(BAD_ARGUMENT.but("Syntax: AUTH mechanism [initial-response]"))
        if mechanism.upper() not in offered:
            return Failed(BAD_MECHANISM)
        self.mechanism = mechanism.upper()
        self._running = _MECHANISMS[self.mechanism](self._find)
        challenge = next(self._running)
        if not initial:
            return Challenge(challenge)
        if initial == "=":  # RFC 4954 section 4: an empty one
            return self._send(b"")
        return self.answer(initial.encode())

    def answer(self, line: bytes) -> Step:
        """The client's next line, without its CRLF."""
        if line == b"*":  # RFC 4954 section 4
            return Failed(CANCELLED)
        try:
            response = binascii.a2b_base64(line, strict_mode=True)
        except ValueError:
            return Failed(BAD_BASE64)
        return self._send(response)

    def _send(self, response: bytes) -> Step:
        try:
            return Challenge(self._running.send(response))
        except StopIteration as end:
            outcome: Check | Done = end.value
            return outcome
        except _RefusedError as error:
            return error.failed
