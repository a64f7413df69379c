"""Keys in files: found, cached, refused by name, never overwritten."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.errors import CannotCreateError, ConfigError, UsageError
from common.key_store import STALE, KeyStore
from common.keys import BadKeyError, default_selector, parents, public_record, signing_domain

FLAT = "file://{data_dir}/dkim/{domain}.{selector}.pem"
FOLDERS = "file://{data_dir}/dkim/{domain}/{selector}.pem"


class Clock:
    """Time that passes when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=[FLAT, FOLDERS], ids=["flat", "folders"])
def pattern(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def names(store: KeyStore, domain: str) -> list[tuple[str, str]]:
    return [(key.domain, key.selector) for key in store.keys_for(domain)]


def pem(private: object, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_created_keys_are_found(pattern: str, tmp_path: Path) -> None:
    store = KeyStore(pattern, str(tmp_path))
    made = store.create("Example.COM.", "a1", "ed25519")
    store.create("example.com", "b2", "rsa")
    assert names(store, "example.com") == [("example.com", "b2"), ("example.com", "a1")]  # RSA first
    assert [key.type for key in store.keys_for("example.com")] == ["rsa", "ed25519"]
    assert [file.path for file in store.files()] == [made.path, made.path.parent / made.path.name.replace("a1", "b2")]
    assert store.files("example.com") == store.files()


def test_files_are_private(pattern: str, tmp_path: Path) -> None:
    path = KeyStore(pattern, str(tmp_path)).create("example.com", "a1", "ed25519").path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_nothing_is_overwritten(pattern: str, tmp_path: Path) -> None:
    store = KeyStore(pattern, str(tmp_path))
    path = store.create("example.com", "a1", "ed25519").path
    before = path.read_bytes()
    with pytest.raises(CannotCreateError, match=r"a1\.pem exists"):
        store.create("example.com", "a1", "rsa")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "dkim").write_text("")
    with pytest.raises(CannotCreateError, match="dkim"):
        KeyStore(FOLDERS, str(tmp_path)).create("example.com", "a1", "ed25519")


@pytest.mark.parametrize("domain", ["../x.com", "a/b.com", "com", "", "a..com", "[192.0.2.1]", "-a.com", "a.com\n"])
def test_bad_domains_are_refused(domain: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        KeyStore(FLAT, str(tmp_path)).create(domain, "a", "ed25519")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("selector", ["../a", "a/b", "", "a.b", ".", "a\n", "a" * 64, "é"])
def test_bad_selectors_are_refused(selector: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="selector"):
        KeyStore(FLAT, str(tmp_path)).create("example.com", selector, "ed25519")


def test_domains() -> None:
    assert signing_domain("Bücher.example.") == "xn--bcher-kva.example"
    assert parents("a.b.example.com") == ["a.b.example.com", "b.example.com", "example.com"]
    assert parents("com") == parents("") == []


def test_default_selectors_differ_by_type() -> None:
    assert default_selector("rsa", 1763700000) == "pj202511r"
    assert default_selector("ed25519", 1763700000) == "pj202511e"


def test_the_nearest_parent_with_keys_signs(pattern: str, tmp_path: Path) -> None:
    store = KeyStore(pattern, str(tmp_path))
    for domain in ("example.com", "b.example.com", "example.com.au"):
        store.create(domain, "s", "ed25519")
    assert names(store, "a.b.example.com") == [("b.example.com", "s")]
    assert names(store, "c.example.com") == [("example.com", "s")]
    assert names(store, "example.com") == [("example.com", "s")]
    assert [names(store, domain) for domain in ("notexample.com", "com", "")] == [[], [], []]


def test_changes_are_seen_within_a_minute(pattern: str, tmp_path: Path) -> None:
    clock = Clock()
    store = KeyStore(pattern, str(tmp_path), clock=clock)
    assert names(store, "example.com") == []
    path = store.create("example.com", "a", "ed25519").path
    assert names(store, "example.com") == []
    clock.now += STALE
    (key,) = store.keys_for("example.com")
    clock.now += STALE
    assert store.keys_for("example.com")[0] is key  # nothing changed, nothing read
    path.write_bytes(pem(Ed25519PrivateKey.generate()))
    assert store.keys_for("example.com")[0] is key
    clock.now += STALE
    assert public_record(store.keys_for("example.com")[0]) != public_record(key)
    path.unlink()
    clock.now += STALE
    assert names(store, "example.com") == []


def test_the_cache_forgets_what_was_used_longest_ago(tmp_path: Path) -> None:
    store = KeyStore(FLAT, str(tmp_path), cache=2)
    for domain in ("a.com", "b.com", "c.com"):
        store.create(domain, "s", "ed25519")
    first, second = store.keys_for("a.com"), store.keys_for("b.com")
    assert store.keys_for("a.com") is first
    store.keys_for("c.com")
    assert store.keys_for("a.com") is first
    assert store.keys_for("b.com") is not second


def damaged() -> bytes:
    """Halves that do not belong together, in a file that parses."""
    n = rsa.generate_private_key(65537, 2048).private_numbers()
    wrong = rsa.RSAPrivateNumbers(n.p, n.q, n.d ^ 2, n.dmp1 ^ 2, n.dmq1 ^ 2, n.iqmp, n.public_numbers)
    return pem(wrong.private_key(unsafe_skip_rsa_key_validation=True))


def small() -> bytes:
    """648 bits, of two Mersenne primes: the library makes none so small."""
    p, q, e = 2**521 - 1, 2**127 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return pem(numbers.private_key(unsafe_skip_rsa_key_validation=True))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(Ed25519PrivateKey.generate(), b"secret"), "encrypted"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither an RSA nor an Ed25519 key"),
        (small(), "648 bits, 1024 is the least"),
        (damaged(), "damaged"),
    ],
    ids=["empty", "garbage", "encrypted", "EC", "small", "damaged"],
)
def test_what_is_no_key_is_named(content: bytes, problem: str, pattern: str, tmp_path: Path) -> None:
    clock = Clock()
    store = KeyStore(pattern, str(tmp_path), clock=clock)
    store.create("example.com", "a", "ed25519")
    path = store.create("example.com", "b", "ed25519").path
    good = path.read_bytes()
    path.write_bytes(content)
    for domain in ("example.com", "example.com", "sub.example.com"):
        with pytest.raises(BadKeyError, match=problem) as caught:
            store.keys_for(domain)
        assert str(path) in str(caught.value)
    path.write_bytes(good)
    clock.now += STALE
    assert len(store.keys_for("example.com")) == 2


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "dkim"
    folder.mkdir()
    (folder / "example.com.a.pem").symlink_to("nowhere")
    (folder / "example.net.a.pem").mkdir()
    store = KeyStore(FLAT, str(tmp_path))
    for domain in ("example.com", "example.net"):
        with pytest.raises(BadKeyError, match=rf"{domain}\.a\.pem cannot be read"):
            store.keys_for(domain)


def test_other_files_are_no_keys(pattern: str, tmp_path: Path) -> None:
    store = KeyStore(pattern, str(tmp_path))
    folder = store.create("example.com", "a", "ed25519").path.parent
    for name in ("README", "a.pem~", ".b.pem.tmp", "a b.pem"):
        (folder / name).write_text("")
    (tmp_path / "dkim" / "lost+found").touch()
    assert [file.selector for file in store.files()] == ["a"]
    assert names(store, "example.com") == [("example.com", "a")]


def test_the_place_must_tell_keys_apart() -> None:
    with pytest.raises(ConfigError, match="selector"):
        KeyStore("file:///keys/{domain}/{selector}/key.pem", "")
