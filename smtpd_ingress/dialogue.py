"""A client's session as a state machine without I/O: bytes in, replies and other actions out (RFC 5321 section 4)."""

import time
from collections.abc import Callable

import structlog

from common import codes
from common.codes import Reply
from common.users.user import User
from smtpd_ingress.actions import Later, Login, NewClient, Queue, StartTLS
from smtpd_ingress.context import Context
from smtpd_ingress.data import DataReader
from smtpd_ingress.lines import MAX_AUTH_LINE, MAX_LINE, Lines, TooLongError
from smtpd_ingress.message import Message
from smtpd_ingress.pace import Pace
from smtpd_ingress.rejection import RefusedError
from smtpd_ingress.sasl import AUTHENTICATED, BAD_CREDENTIALS
from smtpd_ingress.session import MAX_FAILED_LOGINS, Session
from smtpd_ingress.verbs import auth, content, envelope, hello, other, security, xclient
from smtpd_ingress.verbs.content import Chunk

log = structlog.get_logger()

Action = Reply | Queue | Login | NewClient | StartTLS | Later

VERBS: dict[str, Callable[[Session, str], Action | Chunk]] = {
    "HELO": hello.helo,
    "EHLO": hello.ehlo,
    "STARTTLS": security.starttls,
    "XCLIENT": xclient.xclient,
    "AUTH": auth.auth,
    "MAIL": envelope.mail,
    "RCPT": envelope.rcpt,
    "DATA": content.data,
    "BDAT": content.bdat,
    "RSET": other.rset,
    "NOOP": other.noop,
    "VRFY": other.vrfy,
    "QUIT": other.quit_,
    **dict.fromkeys(("ETRN", "EXPN", "HELP", "TURN"), other.not_implemented),
    **dict.fromkeys(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", "TRACE"), other.http),
}
# RFC 2920 section 3.1: the client waits for the reply to these.
_LAST = ("HELO", "EHLO", "DATA", "NOOP", "VRFY")


class Dialogue:
    """What to answer. Give it bytes with ``feed``; then do what ``next`` says until it wants more of them."""

    def __init__(self, context: Context, client: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.session = Session(context=context, client=client, may_xclient=context.may_xclient(client))
        self._clock = clock
        self._input = Lines()
        self._pace: Pace | None = None
        self._late = codes.IDLE
        self._expected: Callable[[], Action | None] = self._command
        """Makes the next action of what comes next: a command line, message data or a chunk."""

    @property
    def taking_content(self) -> bool:
        """Whether a message is coming in."""
        return self._expected not in (self._command, self._response)

    @property
    def message(self) -> Message | None:
        """The message that is coming in, between its chunks too."""
        return self.session.transaction.message if self.session.transaction else None

    def patience(self, idle: float) -> float:
        """Seconds to wait for more bytes; ``idle`` where no message is coming in, else that at most."""
        if not (self.taking_content or self.message):
            self._pace, self._late = None, codes.IDLE
            return idle
        now = self._clock()
        self._pace = self._pace or Pace(now)
        left = self._pace.left(now)
        self._late = codes.TOO_SLOW if left < idle else codes.IDLE
        return min(idle, left)

    def timed_out(self) -> Reply:
        """What to say to who sent nothing for as long as ``patience`` said."""
        return self._late

    def greeting(self) -> Reply:
        """What the server says first."""
        log.info(f"connect from [{self.session.client}]")
        return self.session.greeting

    def close(self) -> None:
        """The connection has ended: let go of a message that was coming in."""
        self.session.transaction, self._expected = None, self._command
        log.info(f"disconnect from [{self.session.client}] {self.session.counts}")

    def feed(self, data: bytes) -> None:
        """Add bytes from the client."""
        self._input.feed(data)
        if self._pace:
            self._pace.taken += len(data)

    def next(self) -> Action | None:
        """What to do now; None: feed more. Not to be called after a reply that closes."""
        return self._expected()

    def queued(self, reply: Reply) -> Reply:
        """What became of the message of a ``Queue`` action; gives the reply to it."""
        if reply.code >= 400:
            reply = self.session.refuse("dot", reply)
        self.session.transaction = None
        return reply

    def logged_in(self, outcome: User | Reply) -> Reply:
        """What became of a ``Login`` action; gives the reply to it."""
        session = self.session
        if isinstance(outcome, User):
            session.login = outcome.name
            return AUTHENTICATED
        session.failed_logins += outcome is BAD_CREDENTIALS
        return session.refuse("auth", outcome if session.failed_logins < MAX_FAILED_LOGINS else codes.TOO_MANY_LOGINS)

    def let_in(self, refusal: Reply | None) -> Reply:
        """Whether the client of a ``NewClient`` action may come in; gives the reply to it."""
        return self.session.refuse("connect", refusal) if refusal else self.session.greeting

    def secured(self, version: str, cipher: str) -> None:
        """TLS has begun. RFC 3207 section 4.2: what was said before counts no more."""
        old = self.session
        self.session = Session(
            context=old.context,
            client=old.client,
            tls=version,
            cipher=cipher,
            may_xclient=old.may_xclient,
            counts=old.counts,
            errors=old.errors,
            refused=old.refused,
            failed_logins=old.failed_logins,
        )

    def _response(self) -> Action | None:
        """A line of an AUTH exchange."""
        try:
            line = self._input.next(MAX_AUTH_LINE)
        except TooLongError as error:  # the exchange has failed: what comes after it is a command again
            self._expected, self.session.exchange = self._command, None
            return self.session.refuse("auth", _too_long(error))
        if line is None:
            return None
        self._expected = self._command
        return self._begun("AUTH", auth.answer(self.session, line.removesuffix(b"\n").removesuffix(b"\r")))

    def _command(self) -> Action | None:
        if not self._input:
            return None
        limit = MAX_AUTH_LINE if self._input.startswith(b"AUTH ") else MAX_LINE
        try:
            line = self._input.next(limit)
            if line is None:
                return None
            if not line.endswith(b"\r\n"):  # RFC 5321 2.3.8: nothing else ends a line
                return self._no_command(codes.BAD_LINE)
            verb, _, argument = line[:-2].decode().rstrip(" \t").partition(" ")
        except TooLongError as error:
            return self._no_command(_too_long(error))
        except UnicodeDecodeError:
            return self._no_command(codes.BAD_LINE)
        verb = verb.upper()
        if verb not in VERBS:
            return self._no_command(codes.UNKNOWN_COMMAND)
        self.session.counts.begin(verb)
        try:
            return self._begun(verb, VERBS[verb](self.session, argument.lstrip(" ")))
        except RefusedError as error:
            reply = self.session.refuse(verb.lower(), error.reply, argument)
            return Later(reply, error.delay) if error.delay else reply

    def _no_command(self, reply: Reply) -> Reply:
        self.session.counts.begin("unknown")
        return self.session.refuse("command", reply)

    def _begun(self, verb: str, action: Action | Chunk) -> Action | None:
        """See to what has to come after a command."""
        if isinstance(action, Chunk):
            return self._expect_chunk(action)
        if self._input and not self._may_go_on(verb):
            raise RefusedError(codes.OUT_OF_TURN)
        if self.session.exchange:
            self._expected = self._response
        elif action is codes.START_DATA:
            self._expect_data()
        elif isinstance(action, StartTLS) and self._input:
            # RFC 3207 section 5: what came with the command in clear may be another's.
            raise RefusedError(codes.NOTHING_BEFORE_TLS)
        return action

    def _may_go_on(self, verb: str) -> bool:
        """Whether more may have come behind this command before its reply. Strangers who talk out of turn, as
        programs for spam and those made to speak SMTP by a trick do, are sent away.
        """
        session = self.session
        return session.trusted or (session.esmtp and verb not in _LAST) or verb in ("QUIT", "AUTH", "STARTTLS")

    def _expect_data(self) -> None:
        reader, message = DataReader(), self.message
        assert message

        def data() -> Action | None:
            if not (received := self._input.take()):
                return None
            message.feed(reader.feed(received))
            if reader.done:
                self._input.feed(reader.leftover)
                self._expected = self._command
                return Queue(message)
            if message.refusal and message.endless:
                return self.queued(message.refusal._replace(close=True))
            return None

        self._expected = data

    def _expect_chunk(self, chunk: Chunk) -> Action | None:
        left = chunk.size

        def data() -> Action | None:
            nonlocal left
            received = self._input.take(left)
            left -= len(received)
            if self.message and not chunk.refusal:
                self.message.feed(received)
            if left:
                return None
            self._expected = self._command
            return self._chunk_ended(chunk)

        self._expected = data
        return data()

    def _chunk_ended(self, chunk: Chunk) -> Action:
        if chunk.refusal:
            return self.session.refuse("bdat", chunk.refusal)
        message = self.message
        assert message
        if chunk.last:
            return Queue(message)
        if message.refusal:  # RFC 3030 section 2: the client begins anew
            return self.queued(message.refusal)
        return codes.OK.but(f"{chunk.size} octets received")


def _too_long(error: TooLongError) -> Reply:
    """The refusal of a line; one of AUTH has a code of its own (RFC 4954 section 6)."""
    reply = codes.AUTH_LINE_TOO_LONG if error.limit == MAX_AUTH_LINE else codes.LINE_TOO_LONG
    return reply.but(f"Line too long: more than {error.limit} bytes")
