"""What a mail that came back says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

#: Header fields: lower-case names to values, unfolded, in the order in which they stand.
Fields = Mapping[str, tuple[str, ...]]
NO_FIELDS: Fields = MappingProxyType({})


class Kind(StrEnum):
    """What it is."""

    REPORT = "report"
    """What became of a mail (RFC 3464, or words to that effect); each of ``recipients`` says whether it failed."""
    COMPLAINT = "complaint"
    """Somebody does not want it (RFC 5965): abuse, fraud, virus …; ``complaint`` says what."""
    NOTE = "note"
    """A feedback report that is no complaint: auth-failure (RFC 6591), not-spam (RFC 6430)."""
    UNSUBSCRIBE = "unsubscribe"
    """A wish to get no more, by a mail of its own or an ARF report of type opt-out; ``about`` says who."""
    AUTOREPLY = "autoreply"
    """A machine's answer (RFC 3834): vacation, out of office, receipt of a ticket system."""
    CHALLENGE = "challenge"
    """Mail is held until its sender confirms something."""
    RECEIPT = "receipt"
    """Somebody has, or has not, seen it (RFC 8098)."""
    REPLY = "reply"
    """A person's answer to a mail."""
    OTHER = "other"
    """A mail that answers nothing."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """What a report says of one recipient."""

    recipient: str
    """The final recipient as the report has it, without its type; in the report's own spelling."""
    action: str
    """RFC 3464 2.3.3: ``failed``, ``delayed``, ``delivered``, ``relayed``, ``expanded``; or what the report has
    instead of these, in lower case."""
    original_recipient: str = ""
    """What the sender of the mail called it (ORCPT), where that is told."""
    status: str = ""
    """The Status field (RFC 3464 2.3.4), ``5.1.1``; ``""`` where there is none."""
    code: int = 0
    """Of the SMTP reply in ``text``; 0 for none."""
    enhanced_code: str = ""
    """Of the SMTP reply in ``text``, else ``status`` where it is one."""
    text: str = ""
    """The diagnostic: what the remote server said, or words of the report that tell why. One line."""
    diagnostic_type: str = ""
    """Whose words ``text`` is (RFC 3464 2.3.6): ``smtp``, ``x-postfix`` …; ``""`` where the report does not say."""
    remote_mta: str = ""
    """Host that said so, without its type."""
    phase: str = ""
    """Of the session in which that was said, as the words around ``text`` tell it: ``rcpt`` …"""
    target: str = ""
    """The address that ``recipient`` led to, as an alias does, where the report tells it: ``text`` is about that."""

    @property
    def failed(self) -> bool:
        """Whether the mail will not arrive. A delayed, delivered, relayed or expanded one is no bounce."""
        return self.action not in _NO_BOUNCE


#: Actions of what got there.
ARRIVED = frozenset({"delivered", "relayed", "expanded"})
_NO_BOUNCE = ARRIVED | {"delayed"}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a feedback report says (RFC 5965). Addresses may be redacted (RFC 6590), and then name nobody."""

    type: str
    """Feedback-Type in lower case: ``abuse``, ``fraud``, ``virus``, ``other``, ``opt-out``, ``not-spam`` …"""
    mail_from: str = ""
    source_ip: str = ""
    user_agent: str = ""
    incidents: int = 1
    """How many complaints the report stands for."""
    reported_domains: tuple[str, ...] = ()
    fields: Fields = field(default_factory=dict)
    """All of the report's."""


@dataclass(frozen=True, slots=True)
class Original:
    """What identifies the mail that this is about. All of it is the word of a stranger."""

    message_ids: tuple[str, ...] = ()
    """``<id@host>``, likeliest first: the returned header's own, then what is quoted."""
    envelope_id: str = ""
    """Original-Envelope-Id (RFC 3464 2.2.1): ENVID as its sender gave it."""
    fields: Fields = field(default_factory=dict)
    """Of the returned header block; our own are among them."""
    header: bytes = b""
    """That block as it came, LF at the ends of lines."""

    def first(self, name: str) -> str:
        """The first value of a returned header field; ``""`` where there is none."""
        return self.fields.get(name.lower(), ("",))[0]


@dataclass(frozen=True, slots=True)
class Feedback:
    """A mail that came back."""

    kind: Kind
    rule: str
    """What told: ``rfc3464``, ``rfc5965``, ``words``, ``flufl``, a rule of ``conf/feedback.toml`` …"""
    sender: str = ""
    """The address in From."""
    subject: str = ""
    message_id: str = ""
    """Its own."""
    recipients: tuple[Recipient, ...] = ()
    """Of a report."""
    about: tuple[str, ...] = ()
    """Addresses that complain, unsubscribe, or answered by themselves."""
    complaint: Complaint | None = None
    original: Original = field(default_factory=Original)
    reporting_mta: str = ""
    """Of a report, without its type."""
    fields: Fields = field(default_factory=dict)
    """Per-message fields of a report (RFC 3464 2.2)."""
