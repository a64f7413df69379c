"""The client's side of SASL, as tests speak it."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator


def b64(text: str | bytes) -> str:
    return b64encode(text.encode() if isinstance(text, str) else text).decode()


def scram_messages(password: str, name: str = "user", header: str = "n,,") -> Generator[bytes, bytes, None]:
    """The client's first message of SCRAM-SHA-256 and, for the server's first, its final one (RFC 5802)."""
    first = (yield f"{header}n={name},r=abc".encode()).decode()
    values = dict(part.split("=", 1) for part in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(values["s"]), int(values["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c={b64(header)},r={values['r']}"
    signed = f"n={name},r=abc,{first},{final}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    yield f"{final},p={b64(proof)}".encode()


def scram_proof(send: Callable[[bytes], bytes], password: str, name: str = "user", header: str = "n,,") -> bytes:
    """The final message; ``send`` takes the first and gives the server's first."""
    messages = scram_messages(password, name, header)
    return messages.send(send(next(messages)))
