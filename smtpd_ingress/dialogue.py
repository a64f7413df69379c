"""A client's session as a state machine without I/O: command lines in, replies out (RFC 5321 section 4)."""

import re
import time

import structlog

from common import codes
from common.addresses import Address
from common.codes import Reply, printable
from common.ids import new_id
from smtpd_ingress.context import Context
from smtpd_ingress.message import Message, Trace
from smtpd_ingress.params import mail_parameters, no_parameters, path_address, split_argument
from smtpd_ingress.rejection import RefusedError, Rejection
from smtpd_ingress.transaction import Transaction

log = structlog.get_logger()

VERBS = frozenset({"HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "QUIT"})
_NOT_IMPLEMENTED = frozenset({"AUTH", "BDAT", "ETRN", "EXPN", "HELP", "STARTTLS", "TURN"})
_HTTP = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", "TRACE"})
#: Commands that make no sense before the connection is closed.
MAX_ERRORS = 10
# RFC 5321 4.1.1.1 wants a domain or literal; what else hosts call themselves must be fit for Received.
_HELO_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


class Dialogue:
    """The session of one client. Verbs are methods with their names: argument in, reply out."""

    def __init__(self, context: Context, client: str) -> None:
        self.context, self.client = context, client
        self.helo = ""
        self.protocol = "SMTP"
        self.transaction: Transaction | None = None
        self._trusted = context.may_relay(client)
        self._errors = 0

    def greeting(self) -> Reply:
        """What the server says first."""
        return Reply(220, "", f"{self.context.hostname} ESMTP Postjet")

    def command(self, line: bytes) -> Reply:
        """The reply to a command line. After ``codes.START_DATA`` comes ``message``."""
        verb, argument = "", ""
        try:
            # RFC 5321 2.3.8: nothing but CRLF ends a line.
            if not line.endswith(b"\r\n"):
                raise RefusedError(codes.BAD_LINE)
            verb, _, argument = line[:-2].decode().rstrip(" \t").partition(" ")
            verb = verb.upper()
            if verb in VERBS:
                reply: Reply = getattr(self, verb)(argument.lstrip(" "))
                return reply
            raise RefusedError(_unknown(verb))
        except UnicodeDecodeError:
            return self.refuse("command", codes.BAD_LINE)
        except RefusedError as error:
            phase = verb.lower() if verb in VERBS else "command"
            return self.refuse(phase, error.reply, argument)

    def line_too_long(self) -> Reply:
        """The reply to a command line of more than ``lines.MAX_LINE`` bytes."""
        return self.refuse("command", codes.LINE_TOO_LONG)

    def HELO(self, text: str) -> Reply:
        self._hello("SMTP", text)
        return Reply(250, "", self.context.hostname)

    def EHLO(self, text: str) -> Reply:
        self._hello("ESMTP", text)
        size = f"SIZE {self.context.listener.max_message}"
        return Reply(
            250, "", "\n".join((self.context.hostname, size, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"))
        )

    def _hello(self, protocol: str, name: str) -> None:
        if not _HELO_NAME.fullmatch(name):
            raise RefusedError(codes.BAD_ARGUMENT.but("Syntax: EHLO hostname"))
        self.helo, self.protocol, self.transaction = name, protocol, None  # RFC 5321 4.1.4

    def MAIL(self, text: str) -> Reply:
        if not self.helo:
            raise RefusedError(codes.BAD_SEQUENCE.but("Send EHLO first"))
        if self.transaction:
            raise RefusedError(codes.BAD_SEQUENCE.but("MAIL was sent already"))
        path, parameters = split_argument("FROM", text)
        sender = path_address(path, codes.BAD_SENDER)
        said = mail_parameters(parameters)
        limit = self.context.listener.max_message
        if said.size > limit:  # RFC 1870 section 6.1
            raise RefusedError(codes.TOO_BIG.but(f"Message too big: more than {limit} bytes"))
        self.transaction = Transaction(sender=str(sender or ""), eightbit=said.eightbit)
        return codes.SENDER_OK

    def RCPT(self, text: str) -> Reply:
        transaction = self._open_transaction()
        path, parameters = split_argument("TO", text)
        no_parameters(parameters)
        address = path_address(path, codes.BAD_RECIPIENT)
        if not address:
            raise RefusedError(codes.BAD_RECIPIENT.but("<>: no address"))
        recipient = self._destination(address)
        # RFC 5321 4.5.3.1.10: the recipients before it get the message.
        if len(transaction.recipients) >= self.context.listener.max_recipients:
            raise RefusedError(codes.TOO_MANY_RECIPIENTS)
        transaction.recipients[recipient] = None
        return codes.RECIPIENT_OK

    def DATA(self, text: str) -> Reply:
        transaction = self._open_transaction()
        if text:
            raise RefusedError(codes.BAD_ARGUMENT.but("Syntax: DATA"))
        if not transaction.recipients:
            raise RefusedError(codes.NO_RECIPIENTS)
        return codes.START_DATA

    def RSET(self, text: str) -> Reply:
        if text:
            raise RefusedError(codes.BAD_ARGUMENT.but("Syntax: RSET"))
        self.transaction = None
        return codes.OK

    def NOOP(self, text: str) -> Reply:
        return codes.OK

    def VRFY(self, text: str) -> Reply:
        if not text:
            raise RefusedError(codes.BAD_ARGUMENT.but("Syntax: VRFY address"))
        return codes.CANNOT_VERIFY  # RFC 5321 3.5.3

    def QUIT(self, text: str) -> Reply:
        if text:
            raise RefusedError(codes.BAD_ARGUMENT.but("Syntax: QUIT"))
        return codes.BYE

    def _open_transaction(self) -> Transaction:
        if not self.transaction:
            raise RefusedError(codes.BAD_SEQUENCE.but("Send MAIL first"))
        return self.transaction

    def _destination(self, address: Address) -> Address:
        """Where mail to ``address`` goes. Raises RefusedError."""
        if address.local.lower() == "postmaster" and address.domain in ("", self.context.hostname.lower()):
            if self.context.postmaster:  # RFC 5321 4.5.1: taken from everybody
                return self.context.postmaster
            if not address.domain:
                raise RefusedError(codes.NO_SUCH_MAILBOX.but("<postmaster>: no such mailbox here"))
        if not self._trusted:
            raise RefusedError(codes.RELAYING_DENIED.but(f"<{address}>: relaying denied for client [{self.client}]"))
        if "." not in address.domain and not address.domain.startswith("["):  # RFC 5321 2.3.5
            raise RefusedError(codes.NO_SUCH_DOMAIN.but(f"<{address}>: domain is not fully qualified"))
        return address

    def message(self) -> Message:
        """Where the data goes that follows DATA; the message belongs to ``transaction``."""
        assert self.transaction
        trace = Trace(
            helo=self.helo,
            client_address=self.client,
            hostname=self.context.hostname,
            protocol=self.protocol,
            submission=new_id(),
            recipient=self.transaction.only_recipient,
            time=time.time(),
        )
        listener = self.context.listener
        pools = self.context.pools if self._trusted and listener.options else ()
        return Message(trace, listener.max_message, pools, self.context.kept_fields)

    def refuse(self, phase: str, reply: Reply, argument: str = "") -> Reply:
        """Log and report a refusal; gives the reply to send, which is 421 after too many errors."""
        # What is no address or comes out of order may be a client's honest trouble; this is none.
        self._errors += reply.code in (500, 501, 502) and reply.enhanced.startswith("5.5.")
        if self._errors >= MAX_ERRORS:
            reply = codes.TOO_MANY_ERRORS
        given = printable(argument.partition("<")[2].rpartition(">")[0])
        envelope = self.transaction or Transaction(sender=given if phase == "mail" else "", eightbit=False)
        rejection = Rejection(
            client_address=self.client,
            interface=self.context.listener.name,
            phase=phase,
            code=reply.code,
            enhanced=reply.enhanced,
            text=printable(reply.text),
            sender=envelope.sender,
            recipient=given if phase == "rcpt" else envelope.only_recipient,
        )
        what = "END-OF-MESSAGE" if phase == "dot" else phase.upper()
        log.info(
            f"NOQUEUE: reject: {what} from [{self.client}]: {reply}; from=<{rejection.sender}> "
            f"to=<{rejection.recipient}> proto={self.protocol} helo=<{self.helo}>"
        )
        self.context.on_reject(rejection)
        return reply


def _unknown(verb: str) -> Reply:
    if verb in _HTTP:  # a browser or proxy made to talk to us: what follows is a request's body
        return codes.NOT_HTTP
    return codes.NOT_IMPLEMENTED if verb in _NOT_IMPLEMENTED else codes.UNKNOWN_COMMAND
