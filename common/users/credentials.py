"""What is kept of a password: an argon2 hash and a SCRAM verifier. The password itself is not."""

import base64
import hashlib
import hmac
import os
import secrets
from functools import lru_cache
from typing import NamedTuple, Self

import argon2

from common.users.saslprep import saslprep

#: Of new SCRAM verifiers. RFC 7677 section 4 wants 4,096 at least; the client works as long at each login. Cyrus SASL,
#: with which Postfix logs in, does no more than these, and then no other mechanism is tried.
ITERATIONS = 65_536
#: A password has so many characters at most.
MAX_PASSWORD = 256
# RFC 9106 gives gigabytes; a server that takes mail has this much for each of a flood of logins: 27 ms, 19 MiB.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Verifier(NamedTuple):
    """What SCRAM-SHA-256 needs of a password (RFC 5802 section 3, with SHA-256: RFC 7677)."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def pack(self) -> str:
        """Its stored form (RFC 5803): ``SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>``."""
        salt, stored, server = (base64.b64encode(part).decode() for part in (self.salt, *self[2:]))
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def unpack(cls, text: str) -> Self:
        """The verifier behind a stored form. Raises ValueError."""
        try:
            scheme, first, second = text.split("$")
            iterations, salt = first.split(":")
            stored, server = second.split(":")
            found = cls(_bytes(salt), int(iterations), _bytes(stored), _bytes(server))
            if (scheme, len(found.stored_key), len(found.server_key)) != ("SCRAM-SHA-256", 32, 32):
                raise ValueError(scheme)
        except ValueError:
            raise ValueError("not a SCRAM-SHA-256 verifier") from None
        return found


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def verifier(password: str, salt: bytes = b"", iterations: int = ITERATIONS) -> Verifier:
    """The verifier of a prepared password."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key, server_key = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    return Verifier(salt, iterations, hashlib.sha256(client_key).digest(), server_key)


def no_verifier(name: str, secret: bytes) -> Verifier:
    """One that nobody has the password of, always the same for a name: an unknown user looks like any other."""
    salt, stored_key, server_key = (
        hmac.digest(secret, f"{what} {name}".encode(), "sha256") for what in ("salt", "stored", "server")
    )
    return Verifier(salt[:16], ITERATIONS, stored_key, server_key)


def hashed(password: str) -> dict[str, str]:
    """What a user's entry keeps of a new password: ``password_hash`` and ``scram``. Takes 50 ms. Raises ValueError."""
    if len(password) > MAX_PASSWORD:
        raise ValueError(f"the password is longer than {MAX_PASSWORD} characters")
    try:
        prepared = saslprep(password)
    except ValueError as error:
        raise ValueError(f"the password cannot be used: {error}") from None
    return {"password_hash": _HASHER.hash(prepared), "scram": verifier(prepared).pack()}


def unusable() -> dict[str, str]:
    """``hashed`` of no password: nobody can log in with it."""
    return {"password_hash": no_hash(), "scram": no_verifier("", os.urandom(32)).pack()}


def is_right(password_hash: str, password: str) -> bool:
    """Whether a prepared password is the one of an argon2 hash. Takes 30 ms, without the interpreter's lock."""
    try:
        return _HASHER.verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def is_hash(text: str) -> bool:
    """Whether this is an argon2 hash."""
    try:
        argon2.extract_parameters(text)
    except argon2.exceptions.InvalidHashError:
        return False
    return True


@lru_cache(maxsize=1)
def no_hash() -> str:
    """Verified where there is no such user, so that it takes as long; nobody has the password."""
    return _HASHER.hash(secrets.token_hex())


def generated() -> str:
    """A new password: 128 bits, letters and digits."""
    return base64.b32encode(os.urandom(16)).decode().rstrip("=").lower()
