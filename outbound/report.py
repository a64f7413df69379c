"""The report to a sender on what became of a mail: values and the original's bytes in, a message out.

A delivery status notification (RFC 3464) in a multipart/report (RFC 6522). What strangers said goes into it as
text only: nothing of it starts a line or a field of its own.
"""

import binascii
import itertools
import re
from base64 import encodebytes
from email.utils import formatdate
from typing import NamedTuple

from common.codes import printable
from common.entry import Entry
from common.event import Event, Type
from common.ids import report_id
from common.queue.reports import Kind
from common.xtext import shown, utf8_address
from outbound import report_text
from outbound.normalise import normalise
from outbound.report_text import Said, visible, wrapped

#: Bytes up to which the original is attached whole; of a larger one its header, as far as it fits in them.
LIMIT = 50_000
#: By what happened; in Postfix's words.
SUBJECTS = {Type.DEFERRED: "Delayed Mail (still being retried)", Type.DELIVERED: "Successful Mail Delivery Report"}
FAILED = "Undelivered Mail Returned to Sender"
#: RFC 3464 2.3.3.
_ACTIONS = {Type.DEFERRED: "delayed", Type.DELIVERED: "relayed"}
_LONGEST_LINE = 998  # RFC 5322 2.1.1
_STATUS = {
    "delayed": (re.compile(r"4\.\d{1,3}\.\d{1,3}"), "4.4.7"),
    "relayed": (re.compile(r"2\.\d{1,3}\.\d{1,3}"), "2.0.0"),
    "failed": (re.compile(r"[45]\.\d{1,3}\.\d{1,3}"), "5.0.0"),
}
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
_MESSAGE_ID_LENGTH = 250


class _Part(NamedTuple):
    """A part of the report: media type, transfer encoding, description, body whose lines end in CRLF."""

    type: str
    encoding: str
    description: str
    body: bytes


def address(hostname: str) -> str:
    """The address that reports of a host come from."""
    return f"MAILER-DAEMON@{hostname}"


def message_id(entry: Entry, hostname: str, kind: Kind = Kind.END) -> str:
    """The Message-ID of a report on a delivery."""
    return f"<{report_id(entry.id, kind)}@{hostname}>"


def build(
    entry: Entry, row: Event, hostname: str, original: bytes | None, kind: Kind = Kind.END, until: float = 0
) -> bytes:
    """The report on ``entry`` as the message that goes to its sender.

    ``row`` says what happened: delivered means that it was relayed, deferred that it is delayed and tried until
    ``until`` (seconds since 1970), everything else that it failed.

    ``original`` is the content: all of it, or at least the first LIMIT + 1 bytes of a larger one, or None where
    it cannot be read. Lines end in CRLF and have at most 998 bytes; all is 7-bit, but for an original with 8-bit
    data in its body, which no message/rfc822 may encode (RFC 2046 5.2.1), and a sender's address that is UTF-8.
    """
    said = _said(entry, row)
    # RFC 3461 4.3: RET is about failures; in other reports the header is enough
    returned = _returned(original, entry.smtputf8, whole=row.type not in _ACTIONS and entry.ret != "HDRS")
    parts = [_words(entry, row, hostname, said, returned, until), _status(entry, row, hostname, said, until)]
    parts += [returned] if returned else []
    boundary = _boundary(report_id(entry.id, kind), parts)
    lines = [
        f"From: Mail Delivery System <{address(hostname)}>",
        f"To: <{visible(entry.sender)}>",
        f"Subject: {SUBJECTS.get(row.type, FAILED)}",
        f"Date: {formatdate(row.time, localtime=True)}",
        f"Message-ID: {message_id(entry, hostname, kind)}",
        *_references(entry.message_id),
        "Auto-Submitted: auto-replied",  # RFC 3834 3.1.7
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
    ]
    if any(part.encoding == "8bit" for part in parts):  # RFC 2045 6.4: the whole is what its parts are
        lines.append("Content-Transfer-Encoding: 8bit")
    head = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
    return b"".join([head, *(_delimited(part, boundary) for part in parts), f"\r\n--{boundary}--\r\n".encode()])


def _delimited(part: _Part, boundary: str) -> bytes:
    header = (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: {part.type}\r\n"
        f"Content-Transfer-Encoding: {part.encoding}\r\n"
        f"Content-Description: {part.description}\r\n\r\n"
    )
    return header.encode() + part.body


def _boundary(identifier: str, parts: list[_Part]) -> str:
    """One that no part has, though it may have seen an earlier report."""
    names = (f"{identifier}.{number}" for number in itertools.count())
    return next(name for name in names if not any(name.encode() in part.body for part in parts))


def _references(message_id: str) -> list[str]:
    """RFC 3834 3.1.6, where the original's Message-ID is one."""
    if len(message_id) > _MESSAGE_ID_LENGTH or not _MESSAGE_ID.fullmatch(message_id):
        return []
    return [f"In-Reply-To: {message_id}", f"References: {message_id}"]


def _said(entry: Entry, row: Event) -> Said:
    """The server's words where it said something, else what we found."""
    host, words = _who_said_what(entry, row)
    return Said(visible(host), visible(words))


def _who_said_what(entry: Entry, row: Event) -> tuple[str, str]:
    if row.type == Type.EXPIRED or row.reason == "delayed":  # the last try's
        return entry.last_host, entry.last_reply.partition("]: ")[2] if entry.last_host else entry.last_reply
    if row.reason != "rejected" and row.type != Type.DELIVERED:
        return "", row.text
    enhanced = "" if row.enhanced_code.endswith(".0.0") else row.enhanced_code  # which it may not have said
    return row.mx_host, " ".join(filter(None, [str(row.code), enhanced, row.text]))


def _words(entry: Entry, row: Event, hostname: str, said: Said, returned: _Part | None, until: float) -> _Part:
    """The part for people."""
    attached = returned.description if returned else ""
    text = "".join(f"{line}\r\n" for line in report_text.lines(entry, row, hostname, said, attached, until))
    if text.isascii():
        return _Part("text/plain; charset=us-ascii", "7bit", "Notification", text.encode())
    encoded = _quoted_printable(text.encode("utf-8", "replace"))
    return _Part("text/plain; charset=utf-8", "quoted-printable", "Notification", encoded)


def _status(entry: Entry, row: Event, hostname: str, said: Said, until: float) -> _Part:
    """The part for programs (RFC 3464): fields of the message (2.2), then those of the recipient (2.3)."""
    action = _ACTIONS.get(row.type, "failed")
    pattern, unknown = _STATUS[action]
    message = [
        ("Original-Envelope-Id", shown(entry.envid)),  # RFC 3461 6.3 a
        ("Reporting-MTA", f"dns; {hostname}"),
        ("X-Postjet-Delivery", entry.id),
        ("Arrival-Date", formatdate(entry.accepted, localtime=True)),
        ("Deliver-By-Date", formatdate(entry.deliver_by, localtime=True) if entry.deliver_by else ""),  # RFC 2852
        ("Future-Release-Request", entry.future_release),  # RFC 4865 9
    ]
    recipient = [
        ("Original-Recipient", _original_recipient(entry.orcpt)),  # RFC 3461 6.3 d
        ("Final-Recipient", _recipient(entry.recipient)),
        ("Action", action),
        ("Status", row.enhanced_code if pattern.fullmatch(row.enhanced_code) else unknown),
    ]
    if said.host:  # RFC 3464 2.3.5: only where it was the remote host that said so
        recipient.append(("Remote-MTA", f"dns; {_host(said.host)}"))
    if said.words:
        recipient.append(("Diagnostic-Code", f"{'smtp' if said.host else 'X-Postjet'}; {said.words}"))
    if row.type != Type.EXPIRED and row.reason != "delayed":
        recipient.append(("Last-Attempt-Date", formatdate(row.time, localtime=True)))
    if action == "delayed":
        recipient.append(("Will-Retry-Until", formatdate(until, localtime=True)))  # RFC 3464 2.3.9
    groups = ("".join(_field(name, value) for name, value in group if value) for group in (message, recipient))
    return _Part("message/delivery-status", "7bit", "Delivery report", "\r\n".join(groups).encode())


def _field(name: str, value: str) -> str:
    return "".join(f"{line}\r\n" for line in wrapped(printable(f"{name}: {value}"), " "))


def _recipient(recipient: str) -> str:
    if recipient.isascii():
        return f"rfc822; {recipient}"
    return f"utf-8; {utf8_address(recipient)}"


def _original_recipient(orcpt: str) -> str:
    """ORCPT as RFC 3464 2.3.1 has it: the address as its sender knows it."""
    type_, _, address = orcpt.partition(";")
    if type_.lower() == "utf-8":  # RFC 6533 3: it is written so in reports too
        return f"{type_}; {address if address.isascii() else utf8_address(address)}"
    return f"{type_}; {shown(address)}" if orcpt else ""


def _host(host: str) -> str:
    """A host's name, or its address as RFC 5321 4.1.3 writes it."""
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]" if host.replace(".", "").isdigit() else host


def _returned(original: bytes | None, smtputf8: bool, whole: bool) -> _Part | None:
    """The original, or its header where that is enough, or it is too large or would not pass as it is."""
    if original is None:
        return None
    message = normalise(original[: LIMIT + 1])
    header, found, _ = (b"\r\n" + message).partition(b"\r\n\r\n")
    complete = len(original) <= LIMIT
    whole = whole and complete
    if not (complete or found):  # the last line is not whole
        header = header.removesuffix(b"\r\n").rpartition(b"\r\n")[0] or header
    header = header.removeprefix(b"\r\n").removesuffix(b"\r\n") + b"\r\n"
    international = smtputf8 and not header.isascii()
    if whole and international:  # RFC 6532 3.7: may be encoded
        encoded = encodebytes(message).replace(b"\n", b"\r\n")
        return _Part("message/global", "base64", report_text.MESSAGE, encoded)
    if whole and header.isascii() and _has_short_lines(message):
        return _Part("message/rfc822", "7bit" if message.isascii() else "8bit", report_text.MESSAGE, message)
    type_ = "message/global-headers" if international else "text/rfc822-headers"
    if header.isascii() and _has_short_lines(header):
        return _Part(type_, "7bit", report_text.HEADER, header)
    # RFC 6522 4: what is not legal 7-bit content is encoded
    return _Part(type_, "quoted-printable", report_text.HEADER, _quoted_printable(header))


def _has_short_lines(text: bytes) -> bool:
    return max(map(len, text.split(b"\r\n"))) <= _LONGEST_LINE


def _quoted_printable(text: bytes) -> bytes:
    encoded = binascii.b2a_qp(text, istext=True)
    return encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
