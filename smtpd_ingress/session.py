"""What is known of a client: where it connects from, what it said, what it may do."""

import time
from dataclasses import dataclass, field

import structlog

from common.codes import LOCAL_ERROR, NOT_PERMITTED, TOO_MANY_ERRORS, Reply, printable
from common.entry import DEFAULT_POOL
from common.ids import new_id
from common.options import OptionError, Options, read
from common.users.user import User
from smtpd_ingress.context import Context
from smtpd_ingress.counts import Counts
from smtpd_ingress.message import Message, Trace
from smtpd_ingress.options import HeaderOptions
from smtpd_ingress.params import path_in
from smtpd_ingress.rejection import RefusedError, Rejection
from smtpd_ingress.sasl import Exchange
from smtpd_ingress.transaction import Transaction

log = structlog.get_logger()

#: Commands that make no sense before the connection is closed.
MAX_ERRORS = 10
MAX_FAILED_LOGINS = 3
#: Refusals of any kind that a stranger may have.
MAX_REFUSED = 100


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
    cipher: str = ""
    may_xclient: bool = False
    """Whether it may say for whom it speaks, by XCLIENT: decided by where the connection comes from."""
    spoken_for: bool = False
    """Whether a proxy has said so."""
    transaction: Transaction | None = None
    errors: int = 0
    refused: int = 0
    counts: Counts = field(default_factory=Counts)
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
        """Those that its mail may choose from."""
        user = self.user
        return tuple(pool for pool in self.context.pools if user.may_use(pool)) if user else self.context.pools

    @property
    def defaults(self) -> Options:
        """Of mail that does not say otherwise: the login's, then the listener's. Raises RefusedError."""
        user = self.user
        if not user:
            return self.context.defaults
        try:
            defaults = read(user.options, time.time(), self.pools, self.context.webhooks).over(self.context.defaults)
        except OptionError as error:
            why = f"Option {error.name} of user {user.name}: {error}; try again later"
            raise RefusedError(LOCAL_ERROR.but(why)) from error
        if (defaults.pool or DEFAULT_POOL) in self.pools:
            return defaults
        if not self.pools:
            raise RefusedError(NOT_PERMITTED.but(f"User {user.name} has no pool that is there"))
        return Options(pool=self.pools[0]).over(defaults)

    @property
    def may_log_in(self) -> bool:
        """Whether AUTH is offered now: passwords are not for everybody to read."""
        return bool(self.context.logins and not self.login and (self.tls or self.context.listener.auth_without_tls))

    @property
    def greeting(self) -> Reply:
        """What the server says first."""
        return Reply(220, "", f"{self.context.hostname} ESMTP Postjet")

    @property
    def may_start_tls(self) -> bool:
        """Whether STARTTLS is offered now."""
        return bool(self.context.tls and not self.tls)

    @property
    def may_set_options(self) -> bool:
        """Whether what it asks for beyond plain SMTP is done."""
        return self.trusted and self.context.listener.options

    @property
    def protocol(self) -> str:
        """What Received says after "with" (RFC 3848, RFC 6531 4.3)."""
        if not self.esmtp:
            return "SMTP"
        kind = "UTF8SMTP" if self.transaction and self.transaction.smtputf8 else "ESMTP"
        return f"{kind}{'S' if self.tls else ''}{'A' if self.login else ''}"

    def message(self, transaction: Transaction) -> Message:
        """Where the content goes that comes now."""
        trace = Trace(
            helo=self.helo,
            client_address=self.client,
            hostname=self.context.hostname,
            protocol=self.protocol,
            tls=f"version={self.tls} cipher={self.cipher}" if self.tls else "",
            submission=new_id(),
            recipient=transaction.only_recipient,
            time=time.time(),
        )
        listener = self.context.listener
        if transaction.feedback:
            options = HeaderOptions(feedback=True)
        else:
            pools = self.pools if self.may_set_options else ()
            options = HeaderOptions(pools, listener.compatible, self.context.webhooks)
        kept = () if transaction.feedback else self.context.kept_fields
        fix = self.trusted if listener.line_endings == "auto" else listener.line_endings == "fix"
        share = self.context.memory.share(trusted=self.trusted)
        return Message(trace, listener.max_message, options, kept, fix=fix, share=share)

    def refuse(self, phase: str, reply: Reply, argument: str = "") -> Reply:
        """Log and report a refusal; gives the reply to send, which is 421 after too many errors."""
        self.counts.fail()
        # What is no address or comes out of order may be a client's honest trouble; this is none.
        self.errors += reply.code in (500, 501, 502) and reply.enhanced.startswith("5.5.")
        self.refused += 1
        if self.errors >= MAX_ERRORS or (self.refused >= MAX_REFUSED and not self.trusted):
            reply = TOO_MANY_ERRORS
        given = printable(path_in(argument))
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
