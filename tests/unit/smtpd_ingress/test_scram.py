"""SCRAM-SHA-256 by the words of RFC 7677, and every client message that is not to be taken."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sasl_support import scram_proof

from common.users.credentials import Verifier, verifier
from smtpd_ingress.scram import ScramError, ScramServer

# RFC 7677 section 3: user "user", password "pencil"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
NONCE = "rOprNGfwEbeRWgbNEkqO" + SERVER_NONCE
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
FINAL = f"c=biws,r={NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
KNOWN = verifier("pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)


def server(known: Verifier = KNOWN) -> ScramServer:
    return ScramServer(lambda _name: known, SERVER_NONCE)


def test_the_exchange_of_the_rfc() -> None:
    scram = server()
    assert scram.first(FIRST) == f"r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
    assert scram.final(FINAL) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert scram.name == "user"


def test_a_verifier_in_its_stored_form() -> None:
    # RFC 5803; the same figures as PostgreSQL stores for this password, salt and count
    assert Verifier.unpack(KNOWN.pack()) == KNOWN
    assert KNOWN.pack().startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")


@pytest.mark.parametrize("text", ["", "x", "SCRAM-SHA-1$4096:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA"])
def test_what_is_no_verifier(text: str) -> None:
    with pytest.raises(ValueError, match="not a SCRAM-SHA-256 verifier"):
        Verifier.unpack(text)


def login(scram: ScramServer, password: str, header: str = "n,,", name: str = "user") -> bytes:
    return scram.final(scram_proof(scram.first, password, name, header))


@pytest.mark.parametrize("header", ["n,,", "y,,", "n,a=user,", "y,a=user,"])
def test_channel_binding_that_is_not_used(header: str) -> None:
    assert login(server(), "pencil", header)
    assert not login(server(), "pencil2", header)


def test_escapes_in_a_name() -> None:
    scram = server()
    assert login(scram, "pencil", name="a=2Cb=3D2C")
    assert scram.name == "a,b=2C"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"p=tls-unique,,n=user,r=abc", "channel binding is not supported"),
        (b"n,a=other,n=user,r=abc", "to act as somebody else"),
        (b"n,,m=x,n=user,r=abc", "not a client-first"),  # an extension that has to be understood
        (b"n,,n=us=er,r=abc", "not a client-first"),
        (b"n,,n=user,r=", "not a client-first"),
        (b"n,,n=user,r=a b", "not a client-first"),
        (b"n,,n=user,r=" + b"a" * 129, "not a client-first"),
        (b"n,,n=,r=abc", "not a client-first"),
        (b"n,,n=a\x01b,r=abc", "the name cannot be used"),
        (b"n,,n=\xff,r=abc", "not UTF-8"),
        (b"n,n=user,r=abc", "not a client-first"),
        (b"", "not a client-first"),
        (b"n,,n=user,r=abc" + b",x=y" * 2000, "too long"),
    ],
)
def test_first_messages_that_are_none(message: bytes, why: str) -> None:
    with pytest.raises(ScramError, match=why):
        server().first(message)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (FINAL.replace(b"biws", b"eSws"), "channel binding is another"),  # y,, where n,, was said
        (FINAL.replace(b"k0,", b"k1,"), "nonce is another"),
        (FINAL.replace(b"VQ=", b"VQ"), "not a client-final"),
        (FINAL.partition(b",p=")[0], "not a client-final"),
        (b"", "not a client-final"),
    ],
)
def test_final_messages_that_are_none(message: bytes, why: str) -> None:
    scram = server()
    scram.first(FIRST)
    with pytest.raises(ScramError, match=why):
        scram.final(message)


def test_a_wrong_proof_has_no_answer() -> None:
    scram = server()
    scram.first(FIRST)
    assert scram.final(FINAL.replace(b"p=dH", b"p=eH")) == b""


@given(st.binary() | st.text("np=,ayrm*\0\x00é").map(str.encode))
def test_any_bytes(message: bytes) -> None:
    for verb in (lambda scram: scram.first(message), lambda scram: (scram.first(FIRST), scram.final(message))):
        try:
            verb(server())
        except ScramError:
            continue
