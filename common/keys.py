"""DKIM keys: the private half in a file, the public half as a record."""

import base64
import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from common.addresses import AddressError, normal_domain
from common.errors import ConfigError, UsageError

KeyType = Literal["rsa", "ed25519"]
MIN_RSA_BITS = 1024  # RFC 8301 3.2

#: Underscores are outside RFC 6376 3.1, but keys made elsewhere have them.
SELECTOR = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_SHA256 = Prehashed(hashes.SHA256())
_PKCS1 = PKCS1v15()


class BadKeyError(ConfigError):
    """A key is there and cannot be used: mail of its domain waits instead of leaving unsigned."""


def signing_domain(text: str) -> str:
    """A domain name that a person gave as lower-case A-labels. Raises UsageError."""
    try:
        domain = normal_domain(text.removesuffix("."))
    except AddressError as error:
        raise UsageError(f"{text!r} is no domain name: {error}") from None
    if not parents(domain) or domain.startswith("["):
        raise UsageError(f"{text!r} is no domain name such as example.com")
    return domain


def parents(domain: str) -> list[str]:
    """The domain and those above it, nearest first, down to two labels: no key can be a TLD's."""
    labels = domain.split(".")
    return [".".join(labels[i:]) for i in range(len(labels) - 1)]


def default_selector(kind: KeyType, now: float | None = None) -> str:
    """``pj202511r`` for RSA, ``pj202511e`` for Ed25519: a month says how old a key is."""
    return f"pj{time.strftime('%Y%m', time.gmtime(now))}{kind[0]}"


@dataclass(frozen=True)
class SigningKey:
    """A private key and the name its public half is published under."""

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey

    @cached_property
    def type(self) -> KeyType:
        """The ``k=`` tag of its record."""
        return "rsa" if isinstance(self.private, RSAPrivateKey) else "ed25519"

    @property
    def algorithm(self) -> str:
        """The ``a=`` tag of its signatures."""
        return f"{self.type}-sha256"

    @property
    def record_name(self) -> str:
        """Where its record is published, with the dot of the root."""
        return f"{self.selector}._domainkey.{self.domain}."

    def sign(self, digest: bytes) -> bytes:
        """The signature over a SHA-256 hash."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(digest, _PKCS1, _SHA256)
        return self.private.sign(digest)  # RFC 8463 3: PureEdDSA over the hash

    def works(self) -> bool:
        """Whether the public half verifies what the private half signs."""
        digest = bytes(32)
        try:
            if isinstance(self.private, RSAPrivateKey):
                self.private.public_key().verify(self.sign(digest), digest, _PKCS1, _SHA256)
            else:
                self.private.public_key().verify(self.sign(digest), digest)
        except (InvalidSignature, ValueError):
            return False
        return True


def public_record(key: SigningKey) -> str:
    """The text of the TXT record to publish."""
    public = key.private.public_key()
    if isinstance(key.private, RSAPrivateKey):  # RFC 6376 3.6.1: SubjectPublicKeyInfo
        data = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    else:  # RFC 8463 4.2: the bare 32 bytes
        data = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"v=DKIM1; k={key.type}; p={base64.b64encode(data).decode()}"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file that should hold a key."""

    domain: str
    selector: str
    path: Path

    def load(self) -> SigningKey:
        """Its key. Raises BadKeyError."""
        try:
            # OpenSSL's validation takes 30 ms, in a worker's event loop; a trial signature tells enough.
            private = serialization.load_pem_private_key(
                self.path.read_bytes(), None, unsafe_skip_rsa_key_validation=True
            )
        except OSError as error:
            raise self._bad(f"cannot be read ({error.strerror}); make it readable for the user of postjet") from None
        except TypeError:
            raise self._bad("is encrypted; decrypt it with openssl pkey") from None
        except (ValueError, UnsupportedAlgorithm):
            raise self._bad("is no private key in PEM; replace or remove it") from None
        if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
            raise self._bad("is neither an RSA nor an Ed25519 key; replace it")
        if isinstance(private, RSAPrivateKey) and private.key_size < MIN_RSA_BITS:
            raise self._bad(f"is an RSA key of {private.key_size} bits, {MIN_RSA_BITS} is the least; replace it")
        key = SigningKey(self.domain, self.selector, private)
        if not key.works():
            raise self._bad("is damaged; replace it")
        return key

    def _bad(self, what: str) -> BadKeyError:
        return BadKeyError(f"DKIM key {self.path} {what}")
