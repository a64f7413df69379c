"""Signatures that others verify."""

import base64
import re
import time

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from common.keys import SigningKey, public_record
from outbound.normalise import normalise
from outbound.sign import from_domain, sign

RSA = SigningKey("example.com", "r", generate_private_key(65537, 2048))
ED25519 = SigningKey("example.com", "e", Ed25519PrivateKey.generate())
RECORDS = {key.record_name.encode(): public_record(key).encode() for key in (RSA, ED25519)}
NOW = int(time.time())
MESSAGE = (
    b"Received: from x by y; now\r\nFrom: Joe <joe@example.com>\r\nTo: a@example.net\r\n"
    b"Subject: Is  dinner\r\n\tready? \r\nDate: Fri, 21 Nov 2025 21:00:37 -0700\r\nMessage-ID: <1@example.com>\r\n"
    b"List-Unsubscribe: <https://example.com/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"\r\nHi. \r\n\r\nWe  lost the game.\t\r\n\r\n\r\n"
)


def verify(message: bytes, index: int = 0) -> bool:
    return bool(dkim.DKIM(message).verify(index, dnsfunc=lambda name, timeout=0: RECORDS[name]))


def tags(field: bytes) -> dict[str, str]:
    value = re.sub(r"\s", "", field.decode().partition(":")[2])
    return dict(tag.split("=", 1) for tag in value.split(";"))


def test_dkimpy_verifies_both() -> None:
    signed = sign(MESSAGE, [RSA, ED25519], NOW) + MESSAGE
    assert [verify(signed, 0), verify(signed, 1)] == [True, True]


def test_tags() -> None:
    found = tags(sign(MESSAGE, [RSA], NOW))
    assert {name: found[name] for name in "vacdst"} == {
        "v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "example.com", "s": "r", "t": str(NOW),
    }  # fmt: skip
    names = found["h"].split(":")
    assert names[:2] == ["from", "from"]
    assert {"list-unsubscribe", "list-unsubscribe-post"} < set(names)
    assert "received" not in names


def test_lines_are_short_and_folded() -> None:
    fields = sign(MESSAGE, [RSA, ED25519], NOW)
    lines = fields.split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) < 78 and line.strip() for line in lines)
    assert [line[:1] != b" " for line in lines].count(True) == 2
    assert sign(MESSAGE, [], NOW) == b""


@pytest.mark.parametrize(
    "field", [b"From: evil@example.net", b"Subject: y", b"Cc: c@d", b"Content-Type: text/html", b"Reply-To: e@f"]
)
@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_nothing_that_counts_can_be_added(key: SigningKey, field: bytes) -> None:
    signed = sign(MESSAGE, [key], NOW) + MESSAGE
    assert not verify(field + b"\r\n" + signed)
    assert not verify(signed.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n", 1))


def test_what_lists_add_breaks_nothing() -> None:
    signed = sign(MESSAGE, [RSA], NOW) + MESSAGE
    assert verify(b"Sender: list@example.net\r\nList-Unsubscribe: <mailto:l@example.net>\r\n" + signed)


def test_several_instances_are_signed_from_the_bottom_up() -> None:
    message = b"To: a\r\nto: b\r\nFrom: x@example.com\r\nTO: c\r\n\r\n"
    fields = sign(message, [RSA], NOW)
    assert tags(fields)["h"].split(":").count("to") == 4
    assert verify(fields + message)


def test_an_older_signature_stays_and_is_not_signed() -> None:
    older = sign(MESSAGE, [RSA], NOW) + MESSAGE
    both = sign(older, [ED25519], NOW) + older
    assert "dkim-signature" not in tags(sign(older, [ED25519], NOW))["h"]
    assert [verify(both, 0), verify(both, 1)] == [True, True]


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"From", b"To", b"SUBJECT", b"Subject ", b"X-Other", b"Sender"]),
        st.lists(st.sampled_from([b" ", b"\r\n ", b"\t", b"x", b"\xc3\xa9", b"  ", b";"])).map(b"".join),
    )
).map(lambda fields: b"".join(name + b":" + value + b"\r\n" for name, value in fields))
BODIES = st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\0", b"\xff", b":"])).map(b"".join)


@given(HEADERS, BODIES)
def test_whatever_leaves_verifies(header: bytes, body: bytes) -> None:
    # dkimpy takes the name with a space before the colon for no field at all
    message = normalise(header.replace(b" :", b":") + b"From: x@example.com\r\n\r\n" + body)
    signed = sign(message, [ED25519], NOW) + message
    assert verify(signed)


@pytest.mark.parametrize("message", [b"\r\n", b"\r\nbody\r\n", b"From: a@example.com\r\n", b"x\r\n\r\n"])
def test_messages_without_a_header_or_a_body(message: bytes) -> None:
    assert tags(sign(message, [RSA], NOW))["h"].startswith("from:")


# RFC 8463 appendix A: keys, message and the signature of A.3.
RFC_8463_KEY = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
RFC_8463_RECORD = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
RFC_8463_MESSAGE = b"""From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC_8463_SIGNATURE = b"""DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
""".replace(b"\n", b"\r\n")


def test_the_example_of_rfc_8463() -> None:
    key = SigningKey("football.example.com", "brisbane", Ed25519PrivateKey.from_private_bytes(RFC_8463_KEY))
    assert public_record(key) == RFC_8463_RECORD
    ours = sign(RFC_8463_MESSAGE, [key], 1528637909)
    assert tags(ours)["bh"] == tags(RFC_8463_SIGNATURE)["bh"]
    for fields in (ours, RFC_8463_SIGNATURE):
        verifier = dkim.DKIM(fields + RFC_8463_MESSAGE)
        assert verifier.verify(dnsfunc=lambda name, timeout=0: RFC_8463_RECORD.encode())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("joe@Example.COM", "example.com"),
        ("Joe <joe@example.com>", "example.com"),
        ('"Joe, <x@evil.example>" <joe@example.com>', "example.com"),
        ("=?utf-8?q?a=40b?= <joe@example.com>", "example.com"),
        ("x@evil.example <joe@example.com>", "example.com"),
        ("(c (d) <x@evil.example>) joe@example.com (e)", "example.com"),
        ('"a@x"@example.com', "example.com"),
        ("Team: a@example.com, b@example.net;", "example.com"),
        ("a@example.com, b@example.net", "example.com"),
        ("Smith, Joe <joe@example.com>", "example.com"),
        ("Joe\r\n <joe@example.com>", "example.com"),
        ("Joe <@route.example:joe@example.com", "example.com"),
        ("Jörg <j@Bücher.example>", "xn--bcher-kva.example"),
        ("undisclosed:;", ""),
        ("", ""),
        ("Joe", ""),
        ("joe@", ""),
        ("joe@a/../b", ""),
    ],
)
def test_from_domain(value: str, expected: str) -> None:
    assert from_domain(f"Subject: From: x@evil.example\r\nFROM : {value}\r\n\r\n".encode()) == expected


def test_from_domain_looks_at_the_header_only() -> None:
    assert from_domain(b"To: a@example.com\r\n\r\nFrom: b@example.com\r\n") == ""


@given(st.binary())
def test_from_domain_takes_anything(value: bytes) -> None:
    domain = from_domain(normalise(b"From: " + value))
    assert domain == domain.lower()
    assert "/" not in domain
