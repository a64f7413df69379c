"""What is known of a client: where it connects from, what it said, what it may do."""

import time
from dataclasses import dataclass, field

import structlog

from common.codes import TOO_MANY_ERRORS, Reply, printable
from common.ids import new_id
from common.users.user import User
from smtpd_ingress.context import Context
from smtpd_ingress.message import Message, Trace
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.sasl import Exchange
from smtpd_ingress.transaction import Transaction

log = structlog.get_logger()

#: Commands that make no sense before the connection is closed.
MAX_ERRORS = 10
MAX_FAILED_LOGINS = 3


@dataclass(slots=True, kw_only=True)
class Session:
    """One client's session; what it speaks of is seen by all verbs."""

    context: Context
    client: str
    """Its address."""
    helo: str = ""
    esmtp: bool = False
    tls: str = ""
    """The version, such as TLSv1.3; ``""`` in clear."""
    transaction: Transaction | None = None
    errors: int = 0
    login: str = ""
    """The user's name; ``""`` where none has logged in."""
    failed_logins: int = 0
    exchange: Exchange | None = None
    """Of AUTH, while it goes on."""
    in_networks: bool = field(init=False)

    def __post_init__(self) -> None:
        self.in_networks = self.context.may_relay(self.client)

    @property
    def trusted(self) -> bool:
        """Whether it may send to anywhere and set options."""
        return self.in_networks or bool(self.login)

    @property
    def user(self) -> User | None:
        """Who has logged in, as the user is now: users change, and are removed."""
        return self.context.logins.users.get(self.login) if self.login and self.context.logins else None

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that its mail may choose from."""
        user = self.user
        return tuple(pool for pool in self.context.pools if not user or user.may_use(pool))

    @property
    def may_log_in(self) -> bool:
        """Whether AUTH is offered now: passwords are not for everybody to read."""
        return bool(self.context.logins and not self.login and (self.tls or self.context.listener.auth_without_tls))

    @property
    def may_start_tls(self) -> bool:
        """Whether STARTTLS is offered now."""
        return bool(self.context.tls and not self.tls)

    @property
    def protocol(self) -> str:
        """What Received says after "with" (RFC 3848)."""
        return f"ESMTP{'S' if self.tls else ''}{'A' if self.login else ''}" if self.esmtp else "SMTP"

    def message(self, transaction: Transaction) -> Message:
        """Where the content goes that comes now."""
        trace = Trace(
            helo=self.helo,
            client_address=self.client,
            hostname=self.context.hostname,
            protocol=self.protocol,
            submission=new_id(),
            recipient=transaction.only_recipient,
            time=time.time(),
        )
        listener = self.context.listener
        pools = self.pools if self.trusted and listener.options else ()
        return Message(trace, listener.max_message, pools, self.context.kept_fields)

    def refuse(self, phase: str, reply: Reply, argument: str = "") -> Reply:
        """Log and report a refusal; gives the reply to send, which is 421 after too many errors."""
        # What is no address or comes out of order may be a client's honest trouble; this is none.
        self.errors += reply.code in (500, 501, 502) and reply.enhanced.startswith("5.5.")
        if self.errors >= MAX_ERRORS:
            reply = TOO_MANY_ERRORS
        given = printable(argument.partition("<")[2].rpartition(">")[0])
        envelope = self.transaction or Transaction(sender=given if phase == "mail" else "")
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
