"""Answers of people: forwarded to one of ours, and answered by a template. No I/O.

Both leave with the null return path, as what is passed on does: they fail in silence. What is forwarded carries the
mark of ``passing_on``, and what has it already is not forwarded again: a mailbox that sends back all it gets makes no
loop.
"""

import re
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate
from string import Template

from common.entry import Entry
from common.feedback import AutoReply
from common.ids import report_id
from common.queue.reports import ABOUT, KIND
from dsn.history import Delivery
from dsn.parse import Feedback, Kind
from dsn.parse.fields import decoded
from dsn.passing_on import MARK, entry_of, is_marked, mark

#: Written by people, or by nobody knows whom.
KINDS = frozenset({Kind.REPLY, Kind.OTHER})
_FORWARDED, _ANSWER = "forwarded", "answer"
#: RFC 3834 section 2: names of programs, lists and their owners.
_NO_PERSON = re.compile(
    r"(?:owner-.*|.*-(?:request|owner|bounces?|relay)|bounces?[+-].*|mailer-daemon|postmaster|listserv|majordomo|daemon"
    r"|no[._-]?reply.*|do[._-]?not[._-]?reply.*|root|nobody)",
    re.IGNORECASE,
)
_LONGEST = 200
#: What an encoded word (RFC 2047) begins with. EmailMessage decodes them in what it is given, and so does who reads it.
_ENCODED = "=?"


def is_forwarded(feedback: Feedback, message: bytes, to: str, domain: str) -> bool:
    """Whether it goes on to ``to``, ``""`` being nobody."""
    return bool(to) and feedback.kind in KINDS and not is_marked(message, domain)


def forwarded(
    entry: Entry, known: Delivery | None, to: str, message: bytes, domain: str, expires: float
) -> tuple[Entry, bytes]:
    """The entry, without content, of what is forwarded, and the message: what came, and a field above it.

    ``domain``: feedback.domain; ``expires``: seconds since 1970.
    """
    about = known or Delivery(submission=entry.submission, delivery=entry.id)
    message = mark(about.delivery, domain) + message
    return _to(entry, about, to, message, _FORWARDED, expires), message


def answer_to(entry: Entry, feedback: Feedback, message: bytes, own_domains: tuple[str, ...]) -> str:
    """The address to which an answer may go, ``""`` where none may: RFC 3834 section 2.

    Never to the null sender, to programs and lists, to what was sent automatically, to our own.
    """
    local, _, domain = entry.sender.rpartition("@")
    if feedback.kind not in KINDS or not local or domain.lower() in own_domains or _NO_PERSON.fullmatch(local):
        return ""
    if _ENCODED in local:  # the library would put it into letters, line breaks too
        return ""
    header = _header(message)
    if str(header.get("Auto-Submitted", "no")).partition(";")[0].strip().lower() != "no":
        return ""
    if str(header.get("Precedence", "")).strip().lower() in ("bulk", "list", "junk", "auto_reply"):
        return ""
    suppressing = (MARK, "X-Auto-Response-Suppress", "X-Loop", "Feedback-ID")
    if any(name.lower().startswith("list-") for name in header) or any(name in header for name in suppressing):
        return ""
    return entry.sender


def answer(
    settings: AutoReply, template: str, entry: Entry, known: Delivery | None, message: bytes, hostname: str,
    now: float, expires: float,
) -> tuple[Entry, bytes]:  # fmt: skip
    """The entry, without content, of the answer to a mail, and the message. Times are seconds since 1970."""
    header = _header(message)
    identifier = report_id(entry.id, _ANSWER)
    subject = _line(decoded(str(header.get("Subject", ""))))
    made = EmailMessage(policy=SMTP if entry.sender.isascii() else SMTPUTF8)
    made["From"] = settings.sender
    made["To"] = entry.sender
    made["Subject"] = _line(Template(settings.subject).safe_substitute(subject=subject))
    made["Date"] = formatdate(now, localtime=True)
    made["Message-ID"] = f"<{identifier}@{hostname}>"
    if answered := _line(str(header.get("Message-ID", ""))):  # RFC 3834 3.1.5
        made["In-Reply-To"] = answered
        made["References"] = answered
    made["Auto-Submitted"] = "auto-replied"  # RFC 3834 section 5
    made["X-Auto-Response-Suppress"] = "All"
    made.set_content(Template(template).safe_substitute(subject=subject, sender=entry.sender))
    about = known or Delivery(submission=entry.submission, delivery=entry.id)
    packed = made.as_bytes()
    return _to(entry, about, entry.sender, packed, _ANSWER, expires, now), packed


def _to(
    entry: Entry, about: Delivery, to: str, message: bytes, kind: str, expires: float, now: float = 0
) -> Entry:
    domain = to.rpartition("@")[2].lower()
    made = entry_of(entry, about, len(message), about.pool, now or entry.accepted, expires)
    return made.but(
        submission=report_id(entry.id, kind), recipient=to, domain=domain, meta={ABOUT: about.delivery, KIND: kind},
        smtputf8=entry.smtputf8 or not to.isascii(),
    )  # fmt: skip


def _header(message: bytes) -> Message:
    """Fields of any bytes, by any case of their names."""
    end = message.find(b"\r\n\r\n")
    return BytesHeaderParser().parsebytes(message[: end + 2 if end >= 0 else len(message)])


def _line(text: str) -> str:
    """Text that a stranger wrote as one line that ends where we like, without encoded words: they may hold others."""
    plain = "".join(char if char.isprintable() else " " for char in text).replace(_ENCODED, "= ?")
    return " ".join(plain.split())[:_LONGEST]
