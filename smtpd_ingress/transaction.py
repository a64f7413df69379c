"""A mail transaction: the envelope of one message, and what is queued of it."""

import time
from dataclasses import dataclass, field

from common.addresses import Address
from common.codes import SUPPRESSED
from common.entry import DEFAULT_POOL, FEEDBACK_POOL, Entry
from common.event import Event, Status, Type
from common.options import DEFAULT_PRIORITY, NOTHING, Options
from common.suppression.suppression import Suppression
from common.xtext import shown
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
    suppressed: dict[Address, Suppression] = field(default_factory=dict)
    """Those of them that nothing is sent to."""
    message: Message | None = None
    """Its content, once that has begun to come."""
    feedback: bool = False
    """It goes to ``feedback.domain``: what it asks for is not done."""

    @property
    def smtputf8(self) -> bool:
        """Whether MAIL said SMTPUTF8 (RFC 6531)."""
        return self.said.smtputf8

    @property
    def only_recipient(self) -> str:
        """The recipient; ``""`` where there are several or none."""
        return str(next(iter(self.recipients))) if len(self.recipients) == 1 else ""

    def queued_as(self, context: Context, client: str) -> tuple[list[Entry], list[Event]]:
        """Its entries (without content) and its rows, ``accepted`` and then those of who is suppressed, once its
        message is whole."""
        assert self.message
        message, said = self.message, self.said
        now = time.time()
        submission, interface = message.submission, context.listener.name
        options = self.options.over(message.options).over(self.defaults)
        if self.feedback:
            options = Options(pool=FEEDBACK_POOL)
            said = MailParameters(eightbit=said.eightbit, smtputf8=said.smtputf8)
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
                unsubscribe=bool(options.unsubscribe),
                webhook=options.webhook or "",
            )
            for number, (recipient, to) in enumerate(self.recipients.items(), 1)
        ]
        held_back = {str(recipient): found for recipient, found in self.suppressed.items()}
        rows = [_suppressed(entry, held_back[entry.recipient]) for entry in entries if entry.recipient in held_back]
        return [entry for entry in entries if entry.recipient not in held_back], [_accepted(entries), *rows]


def _accepted(entries: list[Entry]) -> Event:
    """The row of a submission."""
    first = entries[0]
    return Event(
        time=first.accepted,
        type=Type.ACCEPTED,
        submission=first.submission,
        pool=first.pool,
        sender=first.sender,
        recipients=tuple(entry.recipient for entry in entries),
        message_id=first.message_id,
        envid=shown(first.envid),
        size=first.size,
        priority=first.priority,
        campaign=first.campaign,
        tags=first.tags,
        meta=first.meta,
        interface=first.interface,
        client_address=first.client_address,
        next_attempt=first.due,
        webhook=first.webhook,
    )


def _suppressed(entry: Entry, found: Suppression) -> Event:
    """The row of a recipient that nothing is sent to."""
    return Event(
        time=entry.accepted,
        type=Type.SUPPRESSED,
        status=Status.UNDELIVERABLE,
        submission=entry.submission,
        delivery=entry.id,
        pool=entry.pool,
        reason=found.source,
        enhanced_code=SUPPRESSED.enhanced,
        text=f"suppressed: {found}",
        **entry.told(),
    )
