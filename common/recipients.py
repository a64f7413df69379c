"""Recipients by a keyed hash, for who wants no address in ClickHouse: ``[events] recipients = "hashed"``.

The key lies in ``data_dir``; with it the rows of an address are found, without it nobody can tell an address from its
hash, nor try all there are. Every machine that records or asks needs the same one.
"""

import hmac
import os
import secrets
from pathlib import Path

from common.errors import CannotCreateError, ConfigError

#: Before the hash of an address, which has no ``@`` and so can be none itself.
PREFIX = "hashed:"
_KEY_BYTES, _HASH_BYTES = 32, 16


def lower(text: str) -> str:
    """As ClickHouse's ``lower`` does it: ASCII's letters and no others."""
    if text.isascii():
        return text.lower()
    return text.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")


def bare(address: str) -> str:
    """An address as it is compared and hashed."""
    return lower(address.strip("<> "))


def hashed(key: bytes, address: str) -> str:
    """What stands for an address; one that was made so already, and none, stay as they are."""
    if not address or (address.startswith(PREFIX) and "@" not in address):
        return address
    return PREFIX + hmac.digest(key, bare(address).encode(errors="surrogatepass"), "sha256")[:_HASH_BYTES].hex()


def forms(key: bytes | None, address: str) -> list[str]:
    """Everything under which the rows of an address may be recorded, in lower case."""
    return [bare(address), hashed(key, bare(address))] if key else [bare(address)]


def key_file(data_dir: str) -> Path:
    """Where the key is."""
    return Path(data_dir) / "recipients.key"


def read_key(data_dir: str) -> bytes | None:
    """The key; None where there is none, so nothing was hashed here. Raises ConfigError."""
    path = key_file(data_dir)
    try:
        key = bytes.fromhex(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigError(f"{path}: is no key of {2 * _KEY_BYTES} hexadecimal digits; put back the one that was there")
    return key


def make_key(data_dir: str) -> bytes:
    """The key, a new one where there is none. Raises ConfigError, CannotCreateError."""
    path = key_file(data_dir)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(_KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if not path.exists():
                os.link(fresh, path)
        except FileExistsError:  # another process was quicker
            pass
        except OSError as error:
            raise CannotCreateError(f"{path}: cannot be written: {error.strerror}") from None
        finally:
            fresh.unlink(missing_ok=True)
    key = read_key(data_dir)
    assert key
    return key
