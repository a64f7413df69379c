"""SMTP replies that we give: code (RFC 5321 4.2), enhanced code (RFC 3463) and text."""

import re
from functools import lru_cache
from typing import NamedTuple, Self

_UNPRINTABLE = re.compile(r"[^ -~]")
#: RFC 5321 4.5.3.1.5: a reply line has at most 512 octets with code and CRLF.
_LINE = 510


def printable(text: str) -> str:
    """Text that a client sent, fit for one line of a reply or a log: anything but printable ASCII is ``?``."""
    return _UNPRINTABLE.sub("?", text)


class Reply(NamedTuple):
    """A reply; ``text`` may have several lines, ``close`` ends the connection after it."""

    code: int
    enhanced: str
    text: str
    close: bool = False

    def but(self, text: str) -> Self:
        """The same codes with another text."""
        return self._replace(text=text)

    def __str__(self) -> str:
        """One line, as a log shows it."""
        return printable(f"{self._stem(' ')}{self.text}")

    @lru_cache(maxsize=100)  # noqa: B019  most replies are among the few below
    def encode(self) -> bytes:
        """The bytes on the wire."""
        *first, last = self.text.split("\n")
        lines = [self._stem("-") + line for line in first] + [self._stem(" ") + last]
        return "".join(f"{printable(line)[:_LINE]}\r\n" for line in lines).encode()

    def _stem(self, separator: str) -> str:
        return f"{self.code}{separator}{self.enhanced}{' ' if self.enhanced else ''}"


READY_FOR_TLS = Reply(220, "2.0.0", "Ready to start TLS")
OK = Reply(250, "2.0.0", "Ok")
SENDER_OK = Reply(250, "2.1.0", "Ok")
PRIORITY_LOWERED = Reply(250, "2.3.6", "0 is the priority of this mail; more is for clients that may set options")
RECIPIENT_OK = Reply(250, "2.1.5", "Ok")
CANNOT_VERIFY = Reply(252, "2.0.0", "Cannot verify, but will take mail and try to deliver it")
START_DATA = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
BYE = Reply(221, "2.0.0", "Bye", close=True)

SHUTTING_DOWN = Reply(421, "4.3.2", "Service shutting down, try again later", close=True)
TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections, try again later", close=True)
IDLE = Reply(421, "4.4.2", "Idle for too long, closing connection", close=True)
TOO_SLOW = Reply(421, "4.4.2", "Message comes in too slowly, closing connection", close=True)
TOO_MANY_LOGINS = Reply(421, "4.7.0", "Too many failed logins, closing connection", close=True)
CROWDED_OUT = Reply(421, "4.7.0", "Too busy to wait for you, try again later", close=True)
TOO_MANY_OF_CLIENT = Reply(421, "4.7.0", "Too many connections from your address, try again later", close=True)
TOO_OFTEN = Reply(421, "4.7.0", "Too many connections a minute from your address, try again later", close=True)
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, closing connection", close=True)

LOCAL_ERROR = Reply(451, "4.3.0", "Local error, try again later")
NO_ROOM = Reply(452, "4.3.1", "Insufficient system storage, try again later")
NO_MEMORY = Reply(452, "4.3.1", "Too much mail comes in at once, try again later")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients, send the rest in another transaction")

UNKNOWN_COMMAND = Reply(500, "5.5.1", "Command not recognised")
NOT_HTTP = Reply(500, "5.5.1", "This is SMTP", close=True)
BAD_LINE = Reply(500, "5.5.2", "Line is not UTF-8 that ends in CRLF")
LINE_TOO_LONG = Reply(500, "5.5.2", "Command line too long")
AUTH_LINE_TOO_LONG = Reply(500, "5.5.6", "Authentication line too long")
BAD_ARGUMENT = Reply(501, "5.5.4", "Syntax error in argument")
BAD_SENDER = Reply(501, "5.1.7", "Bad sender address")
BAD_RECIPIENT = Reply(501, "5.1.3", "Bad recipient address")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
BAD_SEQUENCE = Reply(503, "5.5.1", "Bad sequence of commands")
LOGIN_NEEDED = Reply(530, "5.7.0", "Authentication required")
ENCRYPTION_NEEDED = Reply(538, "5.7.11", "Encryption required for authentication, send STARTTLS first")
NO_SUCH_MAILBOX = Reply(550, "5.1.1", "No such mailbox here")
NO_SUCH_DOMAIN = Reply(550, "5.1.2", "Recipient domain is not fully qualified")
BAD_CONTENT = Reply(550, "5.6.0", "Message refused")
NOT_PERMITTED = Reply(550, "5.7.0", "Not permitted")
SUPPRESSED = Reply(550, "5.7.1", "Recipient is suppressed")
RELAYING_DENIED = Reply(550, "5.7.1", "Relaying denied")
TOO_BIG = Reply(552, "5.3.4", "Message too big")
NON_ASCII_ADDRESS = Reply(553, "5.6.7", "Non-ASCII address: say SMTPUTF8 with MAIL")
SENDER_NOT_ALLOWED = Reply(553, "5.7.1", "Sender address not allowed")
TOO_FAR_AHEAD = Reply(554, "5.5.4", "Cannot be held so long")
LOOP = Reply(554, "5.4.6", "Too many hops: mail goes in a circle")
OUT_OF_TURN = Reply(554, "5.5.0", "Wait for the reply before you send more", close=True)
NOTHING_BEFORE_TLS = Reply(554, "5.5.0", "Commands after STARTTLS came before TLS", close=True)
NO_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Parameter not recognised")
