"""A listener's certificate: read at start, and again when its files change."""

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from common.errors import ConfigError
from common.listener import Listener

log = structlog.get_logger()

#: Seconds between looks at the files.
LOOK_EVERY = 1.0
#: Seconds that a client may take for its handshake.
HANDSHAKE_TIMEOUT = 30.0

Parsed = TypeVar("Parsed")


class BadCertificateError(ConfigError):
    """A certificate or key that cannot be used; the message names the file."""


class Certificate:
    """Makes contexts from PEM files. Call it at a handshake: it gives the context to use.

    When the files have changed, at most once a second, a new one is made; where that fails the old one stays.
    """

    def __init__(self, listener: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the files. Raises BadCertificateError."""
        self._name, self._clock = f"listener {listener.name!r}", clock
        self._cert, self._key = Path(listener.tls_cert), Path(listener.tls_key or listener.tls_cert)
        self._looked, self._seen = clock(), self._state()
        self._context = self._read()

    def __call__(self) -> ssl.SSLContext:
        now = self._clock()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            state = self._state()
            if state != self._seen:
                self._seen = state
                self._read_again()
        return self._context

    @property
    def expired(self) -> str:
        """What to say of a certificate whose time is over; ``""``: it is valid."""
        if self.until > datetime.now(UTC):
            return ""
        return f"{self._name}: tls_cert: {self._cert} has expired on {self.until:%Y-%m-%d %H:%M} UTC; renew it"

    def _state(self) -> list[tuple[int, int, int]]:
        """Changes when a file does, or where a link leads."""
        state = []
        for file in (self._cert, self._key):
            try:
                found = file.stat()
            except OSError:
                state.append((0, 0, 0))
            else:
                state.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return state

    def _read_again(self) -> None:
        try:
            self._context = self._read()
        except BadCertificateError as error:
            log.error(f"{error}; the one from before stays in use")
        else:
            log.info(f"{self._name}: new certificate {self._cert}, valid until {self.until:%Y-%m-%d %H:%M} UTC")

    def _read(self) -> ssl.SSLContext:
        certificate = self._parsed("tls_cert", self._cert, "certificate", x509.load_pem_x509_certificate)
        key = self._parsed("tls_key", self._key, "private key without a password", _private_key)
        if key.public_key() != certificate.public_key():
            raise BadCertificateError(f"{self._name}: tls_key: {self._key} is not the key of {self._cert}")
        context = _context()
        try:
            context.load_cert_chain(self._cert, self._key, password="")
        except (OSError, ValueError) as error:  # too short a key, for example
            reason = getattr(error, "reason", None) or error
            raise BadCertificateError(f"{self._name}: tls_cert: {self._cert}: {reason}") from None
        self.until = certificate.not_valid_after_utc
        return context

    def _parsed(self, name: str, file: Path, what: str, parse: Callable[[bytes], Parsed]) -> Parsed:
        try:
            return parse(file.read_bytes())
        except OSError as error:
            raise BadCertificateError(f"{self._name}: {name}: {file}: {error.strerror}") from None
        except (ValueError, TypeError):
            raise BadCertificateError(f"{self._name}: {name}: {file} holds no {what} in PEM") from None


def certificate_of(listener: Listener) -> Certificate | None:
    """What a listener needs for TLS; None: it has none. Raises BadCertificateError."""
    return Certificate(listener) if listener.tls != "none" and listener.tls_cert else None


def check(listener: Listener) -> Certificate | None:
    """The same for who starts or checks it: a certificate that has expired is an error there.

    A process that is started again goes on with it, as it would have without the restart.
    """
    certificate = certificate_of(listener)
    if certificate and (expired := certificate.expired):
        raise BadCertificateError(expired)
    return certificate


def _private_key(pem: bytes) -> PrivateKeyTypes:
    return load_pem_private_key(pem, None)


def _context() -> ssl.SSLContext:
    """TLS 1.2 with forward secrecy and newer, in the server's order of preference, without compression.

    But for the version these are Python's defaults; a test holds them to it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could have us work at its will
    return context
