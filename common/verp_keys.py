"""The keys that return paths are signed with: in the configuration, or in ``data_dir/feedback.key``.

A line of the file is when a key was made (seconds since 1970) and the key in hexadecimal digits, the newest first: it
signs, the others are still accepted. Every process looks whether the file has changed whenever it needs the keys.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from common.errors import CannotCreateError, ConfigError
from common.feedback import Feedback
from common.verp import Tokens

KEY_BYTES = 32


def key_file(data_dir: str) -> Path:
    """Where the keys of one machine are."""
    return Path(data_dir) / "feedback.key"


class Keyring:
    """The keys as they are now."""

    def __init__(self, settings: Feedback, data_dir: str) -> None:
        """Makes the first key where there is none. Raises ConfigError, CannotCreateError."""
        self._path = key_file(data_dir)
        self._seen: tuple[int, int] | None = None
        if settings.secrets:
            self._tokens, self._is_fixed = Tokens([bytes.fromhex(secret) for secret in settings.secrets]), True
        else:
            _ensure(self._path)
            self._tokens, self._is_fixed = Tokens([key for _, key in _read(self._path)]), False
            self._seen = _version(self._path)

    def tokens(self) -> Tokens:
        """What makes and reads tokens now; of a file that cannot be read any more what it had before."""
        if not self._is_fixed and (version := _version(self._path)) and version != self._seen:
            with contextlib.suppress(ConfigError):
                self._tokens, self._seen = Tokens([key for _, key in _read(self._path)]), version
        return self._tokens


def rotate(data_dir: str, valid: float, now: float | None = None) -> int:
    """Put a new key in front; those that no mail of the last ``valid`` seconds was signed with go. How many stay.

    Raises ConfigError, CannotCreateError.
    """
    path, now = key_file(data_dir), time.time() if now is None else now
    old = _read(path) if path.exists() else []
    # a key was in use until the one before it in the file was made
    kept = [key for key, until in zip(old, [now, *(made for made, _ in old)], strict=False) if until > now - valid]
    _write(path, [(now, secrets.token_bytes(KEY_BYTES)), *kept], replace=True)
    return len(kept)


def _ensure(path: Path) -> None:
    if not path.exists():
        _write(path, [(time.time(), secrets.token_bytes(KEY_BYTES))], replace=False)


def _write(path: Path, keys: Sequence[tuple[float, bytes]], *, replace: bool) -> None:
    """For this user's eyes only, whole or not at all; without ``replace`` who was quicker wins."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("".join(f"{made:.0f} {key.hex()}\n" for made, key in keys))
            file.flush()
            os.fsync(file.fileno())
        if replace:
            fresh.rename(path)
            return
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    except OSError as error:
        raise CannotCreateError(f"{path}: cannot be written: {error.strerror}") from None


def _read(path: Path) -> list[tuple[float, bytes]]:
    """When each was made, and the key. Raises ConfigError."""
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        keys = [(float(made), bytes.fromhex(key)) for made, key in lines]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; run this as the user of 'postjet up'") from None
    except ValueError:
        keys = []
    if not keys or min(len(key) for _, key in keys) < KEY_BYTES:
        raise ConfigError(f"{path}: no keys of return paths; take it from your back-up, or remove it to have a new one")
    return keys


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
