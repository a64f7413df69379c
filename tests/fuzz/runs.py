"""One session from a seed: at the dialogue itself, or over a socket to the running role."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from random import Random
from ssl import SSLContext
from types import FrameType

from common import codes
from common.codes import LOCAL_ERROR, OK, Reply
from common.config import Config
from common.content import load
from common.entry import Entry
from common.event import Event
from common.listener import Listener
from common.submit_error import SubmitError
from common.users.user import User
from common.users.users import Users
from smtpd_ingress.actions import Login, Queue
from smtpd_ingress.logins import Logins
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.role import run
from smtpd_ingress.sasl import BAD_CREDENTIALS, Failed
from tests.dialogue_support import Driven, context
from tests.fuzz.grammar import pieces, session
from tests.fuzz.model import Answer, Model, Stored, WrongError
from tests.users_support import user

#: Seconds of CPU or clock that a session may take.
PATIENCE = 20
POSTMASTER = "p@example.com"
LISTENER = {"max_message": 3000, "max_recipients": 3}
_CLOSE = (
    *(reply.text for reply in (codes.BYE, codes.NOT_HTTP, codes.OUT_OF_TURN, codes.TOO_MANY_ERRORS)),
    "Syntax: BDAT size [LAST]",
    "Chunk too big",
)
_STRANGER = "203.0.113.9"


class Fuzzed(Driven):
    """Queues and lets log in as it likes."""

    def __init__(self, random: Random, *, trusted: bool, listener: Listener) -> None:
        of = context(listener, logins=_logins(), postmaster=POSTMASTER)
        object.__setattr__(of, "tls", SSLContext)
        super().__init__("127.0.0.1" if trusted else _STRANGER, of)
        self._random = random
        self.stored: list[Stored] = []

    def login(self, action: Login) -> Reply:
        refused = isinstance(action.step, Failed) or self._random.random() < 0.3
        return self.dialogue.logged_in(BAD_CREDENTIALS if refused else _user())

    def queue(self, action: Queue) -> Reply:
        content, refusal = action.message.finish(), action.message.refusal
        transaction = self.dialogue.session.transaction
        assert transaction
        if not refusal and self._random.random() < 0.1:
            refusal = LOCAL_ERROR
        if not refusal:
            self.stored.append(Stored(tuple(map(str, transaction.recipients)), load(content)))
        return self.dialogue.queued(refusal or OK)


def pure(seed: str) -> None:
    """A session at the dialogue. Raises WrongError, and whatever the dialogue should not."""
    random = Random(seed)
    stream, trusted = session(random), random.random() < 0.7
    endings = random.choice(("auto", "auto", "fix", "deny"))
    auth = {"auth": "optional", "auth_without_tls": True}
    listener = Listener.model_validate({**LISTENER, **auth, "line_endings": endings})
    driven = Fuzzed(random, trusted=trusted, listener=listener)
    answers: list[Answer] = []
    signal.signal(signal.SIGVTALRM, _hung)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    try:
        for piece in pieces(random, stream):
            answers += [Answer(reply.code, reply.close) for reply in driven.say(piece, len(piece))]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    mends = endings == "fix" or (endings == "auto" and trusted)
    Model(stream, answers, driven.stored, mends, endings != "deny", POSTMASTER).check()


@lru_cache
def _user() -> User:
    return user("tim", senders=("@example.com", "@example.net"))


@lru_cache
def _logins() -> Logins:
    return Logins(Users([_user()]), Config().logins)


def _hung(number: int, frame: FrameType | None) -> None:
    raise WrongError("hangs")


class Server:
    """The role at work, with a queue that takes nine of ten."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.stored: list[Stored] = []
        self.random = Random(0)

    async def submit(self, entries: list[Entry], content: bytes, row: Event) -> None:
        if self.random.random() < 0.1:
            raise SubmitError.full()
        self.stored.append(Stored(tuple(entry.recipient for entry in entries), load(content)))

    async def over_socket(self, seed: str) -> None:
        """A session over a connection; one at a time."""
        random = self.random = Random(seed)
        stream = session(random)
        self.stored = []
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        whole, said = True, b""
        try:
            async with asyncio.timeout(PATIENCE):
                for piece in pieces(random, stream):
                    writer.write(piece)
                    if random.random() < 0.3:
                        await asyncio.sleep(0)  # what is written may arrive by itself
                    if writer.is_closing():
                        break
                else:
                    writer.write_eof()
                said = await reader.read(-1)
        except OSError:
            whole = False
        except TimeoutError:
            raise WrongError("hangs") from None
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        lines = [line for line in said.decode().splitlines() if line[3:4] == " "]
        if whole and not lines:
            raise WrongError("no greeting")
        closes = bool(lines) and lines[-1].endswith(_CLOSE)
        answers = [Answer(int(line[:3]), closes and line is lines[-1]) for line in lines]
        Model(stream, answers[1:], self.stored, True, True, POSTMASTER, whole).check()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """The role on a port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        server = Server(sock.getsockname()[1])
        listener = Listener.model_validate({**LISTENER, "name": "relay", "bind": f"127.0.0.1:{server.port}"})
        config = Config(hostname="mta1.example.net", postmaster=POSTMASTER, listeners=[listener])
        stopping = asyncio.Event()
        task = asyncio.create_task(run(config, server.submit, _forget, stopping, {"relay": sock}))
        try:
            yield server
        finally:
            stopping.set()
            await task


def _forget(rejection: Rejection) -> None:
    pass
