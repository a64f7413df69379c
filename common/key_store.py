"""The key store: files of PEM at the place that ``[dkim] keys`` names, read through a cache.

A file is looked at again a minute after it was last looked at, so a new key is in use within that time.
"""

import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from common.errors import CannotCreateError, ConfigError, UsageError
from common.keys import SELECTOR, BadKeyError, KeyFile, KeyType, SigningKey, parents, signing_domain

#: Seconds until files that were read are looked at again.
STALE = 60
NEW_RSA_BITS = 2048


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
        self.place = pattern.replace("{data_dir}", data_dir)
        """Where they lie."""
        self._folder, _, self._name = self.place.removeprefix("file://").rpartition("/")
        if "{selector}" not in self._name:
            raise ConfigError(f"dkim.keys: {pattern}: the last part must hold {{selector}}")
        expression = re.escape(self._name).replace(r"\{domain\}", r"(?P<domain>.+)")
        self._names = re.compile(expression.replace(r"\{selector\}", rf"(?P<selector>{SELECTOR.pattern})"))
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
        if not SELECTOR.fullmatch(selector):
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
