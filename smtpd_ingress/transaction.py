"""A mail transaction: the envelope of one message, and what is queued of it."""

import time
from dataclasses import dataclass, field

from common.addresses import Address
from common.entry import DEFAULT_POOL, Entry
from common.event import Event, Type
from common.options import DEFAULT_PRIORITY, NOTHING, Options
from smtpd_ingress.context import Context
from smtpd_ingress.message import Message
from smtpd_ingress.params import NO_PARAMETERS, MailParameters, RcptParameters


@dataclass(slots=True, kw_only=True)
class Transaction:
    """What MAIL and RCPT said."""

    sender: str
    said: MailParameters = NO_PARAMETERS
    options: Options = NOTHING
    """Those that MAIL's parameters set."""
    defaults: Options = NOTHING
    """Of login and listener."""
    began: float = 0
    """When MAIL came, seconds since 1970."""
    recipients: dict[Address, RcptParameters] = field(default_factory=dict)
    """In the order they came, each once; with the parameters it had first."""
    message: Message | None = None
    """Its content, once that has begun to come."""

    @property
    def smtputf8(self) -> bool:
        """Whether MAIL said SMTPUTF8 (RFC 6531)."""
        return self.said.smtputf8

    @property
    def only_recipient(self) -> str:
        """The recipient; ``""`` where there are several or none."""
        return str(next(iter(self.recipients))) if len(self.recipients) == 1 else ""

    def queued_as(self, context: Context, client: str) -> tuple[list[Entry], Event]:
        """Its entries (without content) and its ``accepted`` row, once its message is whole."""
        assert self.message
        message, said = self.message, self.said
        now = time.time()
        submission, interface = message.submission, context.listener.name
        options = self.options.over(message.options).over(self.defaults)
        due = options.due(now)
        entries = [
            Entry(
                submission=submission,
                number=number,
                sender=self.sender,
                recipient=str(recipient),
                domain=recipient.domain,
                accepted=now,
                expires=options.expire.after(due or now) if options.expire else (due or now) + context.expire,
                size=message.size,
                content=None,
                pool=options.pool or DEFAULT_POOL,
                priority=DEFAULT_PRIORITY if options.priority is None else options.priority,
                due=due,
                tags=options.tags or (),
                meta=options.meta or {},
                headers=message.kept,
                message_id=message.message_id,
                interface=interface,
                client_address=client,
                eightbit=said.eightbit,
                smtputf8=said.smtputf8,
                notify=to.notify or options.notify or "",
                ret=options.ret or "",
                envid=options.envid or "",
                orcpt=to.orcpt,
                deliver_by=(due or self.began) + said.deliver_by if said.deliver_by else 0.0,
                future_release=said.future_release,
                webhook=options.webhook or "",
            )
            for number, (recipient, to) in enumerate(self.recipients.items(), 1)
        ]
        row = Event(
            time=now,
            type=Type.ACCEPTED,
            submission=submission,
            pool=entries[0].pool,
            sender=self.sender,
            recipients=tuple(entry.recipient for entry in entries),
            message_id=message.message_id,
            size=message.size,
            priority=entries[0].priority,
            campaign=entries[0].campaign,
            tags=entries[0].tags,
            meta=entries[0].meta,
            interface=interface,
            client_address=client,
            next_attempt=due,
            webhook=entries[0].webhook,
        )
        return entries, row
