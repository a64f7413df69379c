"""DKIM keys: files of PEM at the place that ``[dkim] keys`` names, read through a cache.

A file is looked at again a minute after it was last looked at, so a new key is in use within that time.
"""

import base64
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from common.addresses import AddressError, normal_domain
from common.errors import CannotCreateError, ConfigError, UsageError

KeyType = Literal["rsa", "ed25519"]
#: Seconds until files that were read are looked at again.
STALE = 60
MIN_RSA_BITS = 1024  # RFC 8301 3.2
NEW_RSA_BITS = 2048

#: Underscores are outside RFC 6376 3.1, but keys made elsewhere have them.
_SELECTOR = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
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


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the name its public half is published under."""

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey

    @property
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


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a domain."""

    looked: float
    stamps: list[tuple[str, int, int]]
    keys: tuple[SigningKey, ...] = ()
    problem: str = ""


class KeyStore:
    """The keys at a place such as ``file://{data_dir}/dkim/{domain}.{selector}.pem``.

    ``cache`` is the number of domains to remember, those without keys too. ``clock`` gives seconds.
    """

    def __init__(
        self, pattern: str, data_dir: str, cache: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, _, self._name = pattern.removeprefix("file://").replace("{data_dir}", data_dir).rpartition("/")
        if "{selector}" not in self._name:
            raise ConfigError(f"dkim.keys: {pattern}: the last part must hold {{selector}}")
        expression = re.escape(self._name).replace(r"\{domain\}", r"(?P<domain>.+)")
        self._names = re.compile(expression.replace(r"\{selector\}", rf"(?P<selector>{_SELECTOR.pattern})"))
        self._cache, self._clock = cache, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def keys_for(self, domain: str) -> tuple[SigningKey, ...]:
        """All keys of a domain (lower-case A-labels), else of its nearest parent that has any; RSA first.

        Raises BadKeyError when one of them cannot be used.
        """
        for name in parents(domain):
            known = self._look(name)
            if known.problem:
                raise BadKeyError(known.problem)
            if known.keys:
                return known.keys
        return ()

    def files(self, domain: str | None = None) -> list[KeyFile]:
        """The key files of one domain, or all. Raises BadKeyError when a folder cannot be read."""
        if domain is None and "{domain}" in self._folder:
            owners = _listing(self._folder.removesuffix("/{domain}"))
            return [file for owner in owners for file in self.files(owner)]
        folder = self._folder.replace("{domain}", domain or "")
        found = []
        for name in _listing(folder):
            if match := self._names.fullmatch(name):
                owner = match.groupdict().get("domain") or domain or ""
                if domain in (owner, None):
                    found.append(KeyFile(owner, match["selector"], Path(folder, name)))
        return found

    def create(self, domain: str, selector: str, kind: KeyType) -> KeyFile:
        """Make a key pair and write its private half. Raises UsageError, CannotCreateError."""
        domain = signing_domain(domain)
        if not _SELECTOR.fullmatch(selector):
            raise UsageError(f"{selector!r} is no selector; use letters, digits and hyphens")
        folder = Path(self._folder.replace("{domain}", domain))
        path = folder / self._name.replace("{domain}", domain).replace("{selector}", selector)
        try:
            folder.mkdir(0o700, parents=True, exist_ok=True)
            _write_new(path, _new_pem(kind))
        except FileExistsError:
            raise CannotCreateError(f"{path} exists; remove it or choose another selector") from None
        except OSError as error:
            raise CannotCreateError(f"{path} cannot be written: {error.strerror}") from None
        return KeyFile(domain, selector, path)

    def _look(self, domain: str) -> _Known:
        now, known = self._clock(), self._known.get(domain)
        if known is None or now - known.looked >= STALE:
            known = self._known[domain] = self._read(domain, now, known)
        self._known.move_to_end(domain)
        if len(self._known) > self._cache:
            self._known.popitem(last=False)
        return known

    def _read(self, domain: str, now: float, before: _Known | None) -> _Known:
        try:
            files = self.files(domain)
            stamps = [_stamp(file.path) for file in files]
            if before and not before.problem and before.stamps == stamps:
                return replace(before, looked=now)
            keys = sorted((file.load() for file in files), key=lambda key: (key.type != "rsa", key.selector))
        except BadKeyError as error:
            return _Known(now, [], problem=str(error))
        return _Known(now, stamps, tuple(keys))


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BadKeyError(f"DKIM keys in {folder} cannot be read: {error.strerror}") from None


def _stamp(path: Path) -> tuple[str, int, int]:
    """Changes with the file: the time of the inode covers content, mode and owner."""
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0  # loading it will say why
    return str(path), status.st_ino, status.st_ctime_ns


def _new_pem(kind: KeyType) -> bytes:
    private = generate_private_key(65537, NEW_RSA_BITS) if kind == "rsa" else Ed25519PrivateKey.generate()
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_new(path: Path, data: bytes) -> None:
    """Write a whole file or none, readable for its owner alone. Raises FileExistsError when there is one."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename it never replaces
    finally:
        temporary.unlink(missing_ok=True)
