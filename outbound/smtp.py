"""The client's side of SMTP without I/O: extensions, commands, the message's form on the wire."""

import base64
import re
from dataclasses import dataclass
from typing import NamedTuple

from common.entry import Entry
from common.xtext import encode, utf8_address
from outbound.failure import permanent
from outbound.reply import Reply

_MAILMAX = re.compile("MAILMAX=([1-9][0-9]{0,5})")
_BY_MOST = 999_999_999
#: Of mail that asks for none: 0 in the terms of RFC 6710.
_NO_PRIORITY = 4


class Envelope(NamedTuple):
    """Who a message goes from and to, and what was asked for; see ``Entry``."""

    sender: str
    """``""``: the null reverse-path."""
    recipient: str
    smtputf8: bool = False
    """Its headers need SMTPUTF8."""
    notify: str = ""
    ret: str = ""
    envid: str = ""
    orcpt: str = ""
    deliver_by: float = 0
    priority: int = _NO_PRIORITY

    @classmethod
    def of(cls, entry: Entry, smtputf8: bool) -> "Envelope":
        """The envelope of a delivery."""
        return cls(
            entry.sender, entry.recipient, smtputf8, entry.notify, entry.ret, entry.envid, entry.orcpt,
            entry.deliver_by, entry.priority,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a server offers."""

    pipelining: bool = False
    starttls: bool = False
    eightbit: bool = False
    smtputf8: bool = False
    size: int = 0
    """Largest message in bytes; 0: it does not say."""
    auth: frozenset[str] = frozenset()
    """Mechanisms in upper case."""
    dsn: bool = False
    deliver_by: bool = False
    priority: bool = False
    mailmax: int = 0
    """Messages that one connection may carry (RFC 9422); 0: it does not say."""

    @classmethod
    def parse(cls, reply: Reply) -> "Extensions":
        """What the reply to EHLO says (RFC 5321 4.1.1.1)."""
        offered: dict[str, list[str]] = {}
        for line in reply.lines[1:]:
            # RFC 4954 has a space behind AUTH; the draft before it had "=", and both are still said
            keyword, *values = line.upper().replace("AUTH=", "AUTH ", 1).split() or [""]
            offered.setdefault(keyword, []).extend(values)
        size = next(iter(offered.get("SIZE", [])), "")
        return cls(
            pipelining="PIPELINING" in offered,
            starttls="STARTTLS" in offered,
            eightbit="8BITMIME" in offered,
            smtputf8="SMTPUTF8" in offered,
            size=int(size) if size.isascii() and size.isdigit() and len(size) < 20 else 0,
            auth=frozenset(offered.get("AUTH", [])),
            dsn="DSN" in offered,
            deliver_by="DELIVERBY" in offered,
            priority="MT-PRIORITY" in offered,
            mailmax=next((int(match[1]) for match in map(_MAILMAX.fullmatch, offered.get("LIMITS", [])) if match), 0),
        )


NOTHING = Extensions()


def transaction(envelope: Envelope, message: bytes, offered: Extensions, now: float) -> list[tuple[str, bytes]]:
    """The commands before the message, each with its phase; ``now`` in seconds since 1970.

    Raises DeliveryFailure for a message that this server cannot take.
    """
    mail = f"MAIL FROM:{_path(envelope.sender)}"
    rcpt = f"RCPT TO:{_path(envelope.recipient)}"
    if offered.size:  # RFC 1870 6
        if len(message) > offered.size:
            text = f"message of {len(message)} bytes is larger than the {offered.size} that the server takes"
            raise permanent("5.3.4", text, phase="mail", reason="unsupported", code=552)
        mail += f" SIZE={len(message)}"
    if not message.isascii():  # RFC 6152 3
        if not offered.eightbit:
            text = "message has 8-bit data, which the server does not take"
            raise permanent("5.6.3", text, phase="mail", reason="unsupported", code=554)
        mail += " BODY=8BITMIME"
    if envelope.smtputf8 or not (mail + rcpt).isascii():  # RFC 6531 3.2
        if not offered.smtputf8:
            text = "message needs SMTPUTF8, which the server does not offer"
            raise permanent("5.6.7", text, phase="mail", reason="unsupported", code=553)
        mail += " SMTPUTF8"
    if offered.dsn:
        mail, rcpt = mail + _mail_dsn(envelope), rcpt + _rcpt_dsn(envelope)
    if offered.priority and envelope.priority != _NO_PRIORITY:  # RFC 6710 4.2
        mail += f" MT-PRIORITY={min(9, 2 * envelope.priority - 8)}"
    if offered.deliver_by and envelope.deliver_by:
        # RFC 2852 4.1.4.1: what is left of the time; in mode N it may be over
        left = max(-_BY_MOST, min(_BY_MOST, int(envelope.deliver_by - now)))
        mail += f" BY={left};N"
    return [("mail", f"{mail}\r\n".encode()), ("rcpt", f"{rcpt}\r\n".encode()), ("data", b"DATA\r\n")]


def data(message: bytes) -> bytes:
    """A message, whose lines end in CRLF, as it follows DATA: dots doubled, the end marked (RFC 5321 4.5.2)."""
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed + (b".\r\n" if not stuffed or stuffed.endswith(b"\r\n") else b"\r\n.\r\n")


def encoded(text: str) -> bytes:
    """Text as an AUTH exchange carries it."""
    return base64.b64encode(text.encode())


def _mail_dsn(envelope: Envelope) -> str:
    """RFC 3461 5.2.1 a and b: what was given with MAIL is passed on, and nothing else."""
    ret = f" RET={envelope.ret}" if envelope.ret else ""
    return f"{ret} ENVID={envelope.envid}" if envelope.envid else ret


def _rcpt_dsn(envelope: Envelope) -> str:
    """RFC 3461 5.2.1 c and d: the same for RCPT; who asks for reports finds our recipient in them, if no other."""
    original = envelope.orcpt
    if envelope.notify and not original:
        address = envelope.recipient  # RFC 6533 3 for what is not ASCII
        original = f"rfc822;{encode(address.encode())}" if address.isascii() else f"utf-8;{address}"
    if not original.isascii():
        original = utf8_address(original)
    notify = f" NOTIFY={envelope.notify}" if envelope.notify else ""
    return f"{notify} ORCPT={original}" if original else notify


def _path(address: str) -> str:
    if not address.isprintable():  # a line end in it would be a command of somebody else's choice
        raise permanent("5.1.3", f"no mail address: {address!r}", phase="mail", reason="unsupported", code=553)
    return f"<{address}>"
