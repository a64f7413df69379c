"""What comes to the return path of a mail goes on to its sender, who would have had it without us. No I/O.

That makes no loop. What is passed on leaves with the null return path: nothing of ours stands in its envelope, nobody
may answer to it (RFC 5321 4.5.5, RFC 3834 2), and where it fails we tell nobody. Only mail to a return path is passed
on, and only mail with a sender has one, who is never an address in ``feedback.domain``. That leaves a sender whose
mailbox sends all that it gets back to the return path: what we pass on carries a field by which we know it again.
"""

import re

from common.entry import DEFAULT_POOL, Entry
from common.ids import report_id
from common.queue.reports import ABOUT, FEEDBACK, KIND
from common.verp import Token
from dsn.history import Delivery
from dsn.parse import Feedback, Kind

#: The field that what was passed on has; its value is the delivery, and at whose feedback.domain: a Postjet behind this
#: one has to pass on what this one has passed on to it.
MARK = "X-Postjet-Returned"
_PASSED_ON = "passed-on"
_KINDS = frozenset({Kind.REPORT, Kind.AUTOREPLY, Kind.CHALLENGE, Kind.RECEIPT, Kind.REPLY, Kind.OTHER})
#: What NOTIFY calls the actions of RFC 3464 2.3.3; all others are failures.
_EVENTS = {"delayed": "DELAY", "delivered": "SUCCESS", "relayed": "SUCCESS", "expanded": "SUCCESS"}
_MARKED = re.compile(rb"^%b[ \t]*:[ \t]*[^\s@]*@([^\s@]*)" % MARK.encode(), re.MULTILINE | re.IGNORECASE)
_BOUNDARY = re.compile(rb'^content-type:[^\r]*(?:\r\n[ \t][^\r]*)*?boundary="?([^";\r\n]{1,70})', re.M | re.I)
_WHOLE = re.compile(rb"^(content-type[ \t]*:[ \t]*)message/(?:rfc822|global)\b", re.M | re.I)


def is_wanted(token: Token, known: Delivery, feedback: Feedback, message: bytes, domain: str) -> bool:
    """Whether it goes on to the sender of the delivery to whose return path it came."""
    sender_domain = known.sender.rpartition("@")[2].lower()
    if feedback.kind not in _KINDS or sender_domain in ("", domain) or is_marked(message, domain):
        return False
    if feedback.kind is not Kind.REPORT:
        return True
    actions = [result.action for result in feedback.recipients] or ["failed"]
    return any(_is_asked_for(token.notify, action) for action in actions)


def _is_asked_for(notify: str, action: str) -> bool:
    """RFC 3461 4.1: not every server knows what was asked. Without NOTIFY a sender may be told of delays, too."""
    event = _EVENTS.get(action, "FAILURE")
    return event in notify if notify else event != "SUCCESS"


def mark(delivery: str, domain: str) -> bytes:
    """The field of what goes on from ``feedback.domain``."""
    return f"{MARK}: {delivery}@{domain}\r\n".encode()


def is_marked(message: bytes, domain: str) -> bool:
    """Whether it has gone on from ``feedback.domain`` before."""
    return any(found.lower() == domain.encode() for found in _MARKED.findall(_header(message)))


def as_passed_on(message: bytes, token: Token, feedback: Feedback, domain: str) -> bytes:
    """The message as it goes on: marked; with RET=HDRS a report of a failure without the body (RFC 3461 4.3)."""
    if token.headers_only and feedback.kind is Kind.REPORT:
        message = _without_body(message)
    return mark(token.delivery, domain) + message


def entry_of(entry: Entry, known: Delivery, message_size: int, pool: str, now: float, expires: float) -> Entry:
    """The entry of what is passed on, without content; always of the same id (RFC 3461 6.1: the null return path).

    ``entry`` is that of the mail that came back. Times are seconds since 1970.
    """
    return Entry(
        submission=report_id(entry.id, _PASSED_ON),
        number=1,
        sender="",
        recipient=known.sender,
        domain=known.sender.rpartition("@")[2],
        accepted=now,
        expires=expires,
        size=message_size,
        content=None,
        pool=pool or DEFAULT_POOL,
        priority=known.priority,
        meta={ABOUT: known.delivery, KIND: _PASSED_ON},
        message_id=entry.message_id,
        interface=FEEDBACK,
        client_address=entry.client_address,
        eightbit=entry.eightbit,
        smtputf8=entry.smtputf8 or not known.sender.isascii(),
    )


def _header(message: bytes) -> bytes:
    end = message.find(b"\r\n\r\n")
    return message if end < 0 else message[: end + 2]


def _without_body(message: bytes) -> bytes:
    """A report whose returned message, its last part, has lost all behind the header; as it is where there is none."""
    boundary = _BOUNDARY.search(_header(message))
    if not boundary:
        return message
    delimiter = b"\r\n--" + boundary[1]
    end = message.rfind(delimiter + b"--")
    begin = message.rfind(delimiter + b"\r\n", 0, end)
    if end < 0 or begin < 0:
        return message
    part = message[begin + len(delimiter) + 2 : end]
    fields, _, returned = part.partition(b"\r\n\r\n")
    if not _WHOLE.search(fields) or b"base64" in fields.lower():
        return message
    header = returned.partition(b"\r\n\r\n")[0]
    fields = _WHOLE.sub(rb"\1text/rfc822-headers", fields)
    return b"".join([message[:begin], delimiter, b"\r\n", fields, b"\r\n\r\n", header, b"\r\n", message[end:]])
