"""One-click unsubscribe (RFC 8058): the fields that mail leaves with, and the token in their URL. No I/O.

The token says whose mail to whom it was: encrypted and signed with a key of the instance (AES-SIV, RFC 5297), so it
tells nobody anything, cannot be made or guessed, and works as long as the key is there, whatever became of the events.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import astuple, dataclass

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from common.entry import Entry
from common.verp import Tokens

#: Where the role api takes them, below what the configuration says.
PATH = "/u/"
#: Of ``[feedback] addresses``, where wishes come by mail.
MAILBOX = "unsubscribe"
KEY_BYTES = 32
_PURPOSE = [b"postjet unsubscribe 1"]
_LONGEST = 2000
_FIELD = re.compile(rb"^list-unsubscribe[ \t]*:", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Click:
    """What a token says: the delivery by which somebody got it."""

    delivery: str
    sender: str
    recipient: str
    pool: str = ""
    campaign: str = ""
    webhook: str = ""


class Clicks:
    """Makes and reads tokens."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def make(self, click: Click) -> str:
        """Always the same for the same: a mail that is tried again leaves as it did."""
        said = astuple(click)
        said = said if click.webhook else said[:-1]  # which the last version did not have
        sealed = self._cipher.encrypt(msgpack.packb(said), _PURPOSE)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def read(self, token: str) -> Click | None:
        """What it says; None for what we did not make."""
        if len(token) > _LONGEST or not token.isascii():
            return None
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            return Click(*msgpack.unpackb(self._cipher.decrypt(sealed, _PURPOSE)))
        except (InvalidTag, binascii.Error, ValueError, TypeError):
            return None


class Links:
    """Puts the fields on. ``url`` is ``[unsubscribe] url``."""

    def __init__(self, url: str, key: bytes, domain: str = "", tokens: Callable[[], Tokens] | None = None) -> None:
        """With ``feedback.domain`` and what its tokens are made with, a mail there will do as well as a click."""
        self._stem, self._clicks = url.rstrip("/") + PATH, Clicks(key)
        self._domain, self._tokens = domain, tokens

    def fields(self, entry: Entry, message: bytes) -> bytes:
        """What goes in front of a message; nothing where it has a List-Unsubscribe of its own, or the null sender: a
        click would hold back everybody's mail.

        RFC 8058 section 3.1: a URI that says who wants no more of what, and both fields signed.
        """
        if not entry.sender or _FIELD.search(message, 0, message.find(b"\r\n\r\n") + 2):
            return b""
        click = Click(entry.id, entry.sender, entry.recipient, entry.pool, entry.campaign, entry.webhook)
        mail = ""
        if self._tokens:  # RFC 8058 section 3.1 allows others beside it
            token = self._tokens().make(entry, entry.waits_since)
            mail = f",\r\n\t<mailto:{MAILBOX}@{self._domain}?subject=unsubscribe%20{token}@{self._domain}>"
        return (
            f"List-Unsubscribe: <{self._stem}{self._clicks.make(click)}>{mail}\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        ).encode()
