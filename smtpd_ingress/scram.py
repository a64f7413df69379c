"""SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677): messages in, messages out. No channel binding."""

import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256

from common.users.credentials import Verifier
from common.users.saslprep import saslprep

# RFC 5802 section 7; a nonce is bounded so that our reply fits into a line.
_NONCE, _NONCES = r"[!-+\--~]{1,128}", r"[!-+\--~]{2,256}"
_SASLNAME = r"(?:[^,=\0]|=2C|=3D)+"
_EXTENSIONS = r"(?:,[A-Za-z]=[^,\0]+)*"
_FIRST = re.compile(rf"([ny]|p=[A-Za-z0-9.-]+),(?:a=({_SASLNAME}))?,(n=({_SASLNAME}),r=({_NONCE}){_EXTENSIONS})")
_FINAL = re.compile(rf"(c=([A-Za-z0-9+/=]+),r=({_NONCES}){_EXTENSIONS}),p=([A-Za-z0-9+/]{{43}}=)")
#: No message of a client is longer.
_MAX_MESSAGE = 4096


class ScramError(ValueError):
    """A message that this mechanism does not allow; the text says why."""


class ScramServer:
    """One exchange. ``find`` gives a name's verifier; ``nonce`` is our part of the nonce."""

    def __init__(self, find: Callable[[str], Verifier], nonce: str = "") -> None:
        self._find, self._own_nonce = find, nonce or secrets.token_urlsafe(18)
        self.name = ""
        """Of the user, prepared, once ``first`` has been told."""

    def first(self, message: bytes) -> bytes:
        """The client's first message; gives the server's. Raises ScramError."""
        text = _decoded(message)
        match = _FIRST.fullmatch(text)
        if not match:
            # RFC 5802 section 5.1: an extension that must be understood ("m") makes the exchange fail, too
            raise ScramError("not a client-first-message of SCRAM")
        binding, authzid, self._bare, name, nonce = match.groups()
        if binding.startswith("p"):
            raise ScramError("channel binding is not supported")
        try:
            self.name = saslprep(_unescaped(name))
            if authzid and saslprep(_unescaped(authzid)) != self.name:
                raise ScramError("to act as somebody else is not allowed")
        except ScramError:
            raise
        except ValueError as error:
            raise ScramError(f"the name cannot be used: {error}") from None
        self._header = text[: match.start(3)].encode()
        self._nonce = nonce + self._own_nonce
        self._verifier = self._find(self.name)
        salt = b64encode(self._verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={self._verifier.iterations}"
        return self._server_first.encode()

    def final(self, message: bytes) -> bytes:
        """The client's final message; gives the server's, or nothing where the proof is wrong. Raises ScramError."""
        match = _FINAL.fullmatch(_decoded(message))
        if not match:
            raise ScramError("not a client-final-message of SCRAM")
        without_proof, binding, nonce, proof = match.groups()
        # RFC 5802 section 5.1: what was said of channel binding is said again, and is covered by the proof.
        if binding != b64encode(self._header).decode():
            raise ScramError("the channel binding is another one than before")
        if nonce != self._nonce:
            raise ScramError("the nonce is another one than before")
        signed = f"{self._bare},{self._server_first},{without_proof}".encode()
        # RFC 5802 section 3
        signature = hmac.digest(self._verifier.stored_key, signed, "sha256")
        client_key = bytes(a ^ b for a, b in zip(b64decode(proof), signature, strict=True))
        if not hmac.compare_digest(sha256(client_key).digest(), self._verifier.stored_key):
            return b""
        return b"v=" + b64encode(hmac.digest(self._verifier.server_key, signed, "sha256"))


def _decoded(message: bytes) -> str:
    try:
        if len(message) > _MAX_MESSAGE:
            raise ScramError("message too long")
        return message.decode()
    except UnicodeDecodeError:
        raise ScramError("message is not UTF-8") from None


def _unescaped(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")
