"""Signatures a second on one core, beside dkimpy's in the same run: ``python -m bench.dkim``.

Run it as a module: as a script its own name would hide dkimpy's.
"""

import base64
import time
from collections.abc import Callable, Sequence
from functools import partial

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from common.keys import SigningKey
from outbound.normalise import normalise
from outbound.sign import from_domain, sign

SECONDS = 0.3
RSA = SigningKey("example.com", "r", generate_private_key(65537, 2048))
ED25519 = SigningKey("example.com", "e", Ed25519PrivateKey.generate())
THEIR_FORM = {
    "rsa": RSA.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "ed25519": base64.b64encode(ED25519.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())),
}
HEADER = (
    b"Received: from app.example.com (app.example.com [192.0.2.1])\r\n\tby mta1.example.net; "
    b"Fri, 21 Nov 2025 21:00:37 +0000\r\nFrom: Example Shop <news@example.com>\r\nTo: ann@example.org\r\n"
    b"Subject: =?utf-8?q?Your_order_=E2=80=93_thank_you?=\r\nDate: Fri, 21 Nov 2025 21:00:37 +0000\r\n"
    b"Message-ID: <20251121210037.1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\nList-Unsubscribe: <https://example.com/u/1>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n"
)
LINES = {
    "clean": b"<p>Thank you for your order. It leaves us tomorrow and reaches you on</p>=\r\n",
    "indented": b"    <p>Thank you for your order. It leaves us tomorrow and reaches</p>  \r\n",
}


def rate(work: Callable[[], object]) -> float:
    """How often a second it runs, in CPU time."""
    count, start = 0, time.process_time()
    while (spent := time.process_time() - start) < SECONDS or not count:
        work()
        count += 1
    return count / spent


def ours(message: bytes, keys: Sequence[SigningKey]) -> bytes:
    """All that a worker does for one content."""
    message = normalise(message)
    from_domain(message)
    return sign(message, keys, int(time.time()))


def theirs(message: bytes, keys: Sequence[SigningKey]) -> bytes:
    """The same canonicalisation by dkimpy, which signs what fields there are."""
    return b"".join(
        dkim.sign(
            message,
            key.selector.encode(),
            key.domain.encode(),
            THEIR_FORM[key.type],
            signature_algorithm=key.algorithm.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
        )
        for key in keys
    )


def main() -> None:
    """Print the table."""
    print(f"{'':24}{'ours/s':>10}{'dkimpy/s':>10}{'ratio':>8}")
    for size in (4_000, 100_000):
        for kind, line in LINES.items():
            message = HEADER + line * (size // len(line))
            for name, keys in {"RSA-2048": [RSA], "Ed25519": [ED25519], "both": [RSA, ED25519]}.items():
                ours_rate, their_rate = (rate(partial(signer, message, keys)) for signer in (ours, theirs))
                print(
                    f"{size // 1000:>3} KB {kind:9}{name:9}{ours_rate:>10.0f}{their_rate:>10.0f}"
                    f"{ours_rate / their_rate:>8.1f}"
                )


if __name__ == "__main__":
    main()
