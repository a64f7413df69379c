"""The certificate of a listener: read, checked, read again when it changes."""

import ssl
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tls_support import write_certificate

from common.listener import Listener
from smtpd_ingress.tls import LOOK_EVERY, BadCertificateError, Certificate, certificate_of, check

HOST = "mta1.example.net"


class Clock:
    """Time that goes on when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_it_is_made_of(tmp_path: Path) -> None:
    context = Certificate(Listener(**write_certificate(tmp_path, HOST)))()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    for option in (ssl.OP_NO_COMPRESSION, ssl.OP_CIPHER_SERVER_PREFERENCE, ssl.OP_NO_RENEGOTIATION):
        assert context.options & option
    ciphers = [cipher["name"] for cipher in context.get_ciphers()]
    assert all(name.startswith(("TLS_", "ECDHE-", "DHE-")) for name in ciphers), ciphers


def test_no_certificate_no_tls(tmp_path: Path) -> None:
    assert certificate_of(Listener()) is None
    assert certificate_of(Listener(tls="none", tls_cert=str(tmp_path / "is not there"))) is None


def test_key_in_the_same_file(tmp_path: Path) -> None:
    keys = write_certificate(tmp_path, HOST)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(keys["tls_key"]).read_bytes() + Path(keys["tls_cert"]).read_bytes())
    assert check(Listener(tls_cert=str(both)))


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    def said(**changes: str) -> str:
        with pytest.raises(BadCertificateError) as raised:
            Certificate(Listener(name="mx", **(keys | changes)))
        return str(raised.value).replace(str(tmp_path), "…")

    keys = write_certificate(tmp_path, HOST)
    (tmp_path / "other").mkdir()
    other = write_certificate(tmp_path / "other", HOST)
    assert said(tls_cert=str(tmp_path / "no")) == "listener 'mx': tls_cert: …/no: No such file or directory"
    assert said(tls_key=str(tmp_path)) == "listener 'mx': tls_key: …: Is a directory"
    assert said(tls_cert=keys["tls_key"]) == "listener 'mx': tls_cert: …/key.pem holds no certificate in PEM"
    without = "listener 'mx': tls_key: …/cert.pem holds no private key without a password in PEM"
    assert said(tls_key=keys["tls_cert"]) == said(tls_key="") == without
    assert said(tls_key=other["tls_key"]) == "listener 'mx': tls_key: …/other/key.pem is not the key of …/cert.pem"
    key = Path(keys["tls_key"])
    encrypted = load_pem_private_key(key.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    key.write_bytes(encrypted)
    assert said() == "listener 'mx': tls_key: …/key.pem holds no private key without a password in PEM"


def test_an_expired_one_is_an_error_to_who_starts_it_only(tmp_path: Path) -> None:
    listener = Listener(**write_certificate(tmp_path, HOST, days=0))
    with pytest.raises(BadCertificateError, match=r"tls_cert: .*cert\.pem has expired on "):
        check(listener)
    assert certificate_of(listener)


def test_read_again_when_it_changes_a_second_later_at_most(tmp_path: Path) -> None:
    clock, listener = Clock(), Listener(**write_certificate(tmp_path, HOST))
    certificate = Certificate(listener, clock)
    first = certificate()
    clock.now += LOOK_EVERY
    assert certificate() is first
    write_certificate(tmp_path, HOST, days=60)
    assert certificate() is first  # nobody has looked
    clock.now += LOOK_EVERY
    with structlog.testing.capture_logs() as logs:
        assert (second := certificate()) is not first
    [line] = logs
    assert line["event"].startswith(f"listener 'relay': new certificate {listener.tls_cert}, valid until ")
    clock.now += LOOK_EVERY
    assert certificate() is second


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As certbot has it."""
    clock = Clock()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_certificate(tmp_path / name, HOST)
    live = tmp_path / "live"
    live.symlink_to("one")
    certificate = Certificate(Listener(tls_cert=str(live / "cert.pem"), tls_key=str(live / "key.pem")), clock)
    first = certificate()
    live.unlink()
    live.symlink_to("two")
    clock.now += LOOK_EVERY
    assert certificate() is not first


def test_a_broken_new_file_keeps_the_old_one(tmp_path: Path) -> None:
    clock, keys = Clock(), write_certificate(tmp_path, HOST)
    certificate = Certificate(Listener(**keys), clock)
    first = certificate()
    key = Path(keys["tls_key"])
    whole = key.read_bytes()
    with structlog.testing.capture_logs() as logs:
        key.write_bytes(whole[:50])
        for _ in range(3):
            clock.now += LOOK_EVERY
            assert certificate() is first
        key.unlink()
        for _ in range(3):
            clock.now += LOOK_EVERY
            assert certificate() is first
    assert [line["log_level"] for line in logs] == ["error", "error"]  # told once of each
    assert logs[1]["event"].endswith("key.pem: No such file or directory; the one from before stays in use")
    key.write_bytes(whole)
    clock.now += LOOK_EVERY
    assert certificate() is not first
