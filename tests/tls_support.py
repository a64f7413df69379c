"""Certificates and clients that speak TLS."""

import ssl
from pathlib import Path

from master.demo.certificates import self_signed


def write_certificate(folder: Path, host: str, days: int = 30) -> dict[str, str]:
    """Write a certificate and its key, over what is there; the keys of a listener that name them."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    for file, pem in zip((cert, key), self_signed(host, days=days), strict=True):
        file.write_bytes(pem)
    return {"tls_cert": str(cert), "tls_key": str(key)}


def client_context(trusted: str = "") -> ssl.SSLContext:
    """A client's context that trusts the certificate in a file; without one it takes any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusted:
        context.load_verify_locations(trusted)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
