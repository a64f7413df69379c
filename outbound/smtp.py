"""The client's side of SMTP without I/O: extensions, commands, the message's form on the wire."""

import base64
from dataclasses import dataclass

from outbound.failure import permanent
from outbound.reply import Reply


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who a message goes from and to."""

    sender: str
    """``""``: the null reverse-path."""
    recipient: str
    smtputf8: bool = False
    """The message was given to us with SMTPUTF8: its headers may need it."""


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
        )


def transaction(envelope: Envelope, message: bytes, offered: Extensions) -> list[tuple[str, bytes]]:
    """The commands before the message, each with its phase.

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
    header = message.partition(b"\r\n\r\n")[0] if envelope.smtputf8 else b""
    if not ((mail + rcpt).isascii() and header.isascii()):  # RFC 6531 3.2
        if not offered.smtputf8:
            text = "message needs SMTPUTF8, which the server does not offer"
            raise permanent("5.6.7", text, phase="mail", reason="unsupported", code=553)
        mail += " SMTPUTF8"
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


def _path(address: str) -> str:
    if not address.isprintable():  # a line end in it would be a command of somebody else's choice
        raise permanent("5.1.3", f"no mail address: {address!r}", phase="mail", reason="unsupported", code=553)
    return f"<{address}>"
