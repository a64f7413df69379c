"""A mail transaction: the envelope of one message, and what is queued of it."""

import time
from dataclasses import dataclass, field

from common.addresses import Address
from common.entry import Entry
from common.event import Event, Type
from smtpd_ingress.context import Context
from smtpd_ingress.message import Message


@dataclass(slots=True, kw_only=True)
class Transaction:
    """What MAIL and RCPT said."""

    sender: str
    eightbit: bool = False
    recipients: dict[Address, None] = field(default_factory=dict)
    """In the order they came, each once."""
    message: Message | None = None
    """Its content, once that has begun to come."""

    @property
    def only_recipient(self) -> str:
        """The recipient; ``""`` where there are several or none."""
        return str(next(iter(self.recipients))) if len(self.recipients) == 1 else ""

    def queued_as(self, context: Context, client: str) -> tuple[list[Entry], Event]:
        """Its entries (without content) and its ``accepted`` row, once its message is whole."""
        assert self.message
        message = self.message
        now = time.time()
        submission, interface = message.submission, context.listener.name
        due = message.options.due(now)
        entries = [
            Entry(
                submission=submission,
                number=number,
                sender=self.sender,
                recipient=str(recipient),
                domain=recipient.domain,
                accepted=now,
                expires=(due or now) + context.expire,
                size=message.size,
                content=None,
                pool=message.options.pool,
                priority=message.options.priority,
                due=due,
                tags=message.options.tags,
                meta=message.options.meta,
                headers=message.kept,
                message_id=message.message_id,
                interface=interface,
                client_address=client,
                eightbit=self.eightbit,
            )
            for number, recipient in enumerate(self.recipients, 1)
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
        )
        return entries, row
