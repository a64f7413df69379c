"""The client's side of SASL, as tests speak it."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable


def b64(text: str | bytes) -> str:
    return b64encode(text.encode() if isinstance(text, str) else text).decode()


def scram_proof(send: Callable[[bytes], bytes], password: str, name: str = "user", header: str = "n,,") -> bytes:
    """The client-final-message of SCRAM-SHA-256 (RFC 5802); ``send`` takes the first and gives the server's first."""
    first = send(f"{header}n={name},r=abc".encode()).decode()
    values = dict(part.split("=", 1) for part in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(values["s"]), int(values["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c={b64(header)},r={values['r']}"
    signed = f"n={name},r=abc,{first},{final}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return f"{final},p={b64(proof)}".encode()
