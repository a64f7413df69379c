"""What a sink received."""

import re
from dataclasses import dataclass

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message as it was received."""

    sender: str
    parameters: tuple[str, ...]
    """Of MAIL: ``SIZE=1234``, ``BODY=8BITMIME`` …"""
    recipients: tuple[str, ...]
    commands: tuple[str, ...]
    """MAIL, then each RCPT that was taken, as they were said."""
    content: bytes
    """The bytes of DATA, the dots taken off."""
    ehlo: str
    tls: str
    """``TLSv1.3`` …, or ``""``."""
    peer: str
    """The client's address."""
    connection: int
    """The first connection is 1."""
    time: float
    """Seconds since 1970."""
    told: bool
    """Whether the script lets the client learn that it was taken."""

    @property
    def message_id(self) -> str:
        """The Message-ID header with its brackets, or ``""``."""
        found = _MESSAGE_ID.search(self.content[: self.content.find(b"\r\n\r\n")])
        return found[1].decode("ascii", "replace") if found else ""
