"""Header fields and addresses."""

import pytest

from dsn.parse.fields import MAX_FIELDS, addresses, decoded, fields, first_address, message_ids, typed, typed_address


def test_fields_are_unfolded_and_what_is_none_is_passed_over() -> None:
    found = fields("From x Mon\nSubject: a\n\tb  c\nX-A : 1\nno field\nx-a:2\n: 3\n")
    assert found == {"subject": ("a b c",), "x-a": ("1", "2")}


def test_so_many_fields() -> None:
    assert len(fields("".join(f"X-{i}: y\n" for i in range(2 * MAX_FIELDS)))) == MAX_FIELDS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<ann@there.example>: no", ["ann@there.example"]),
        ("'ann@there.example'", ["ann@there.example"]),
        ("to ann@there.example.", ["ann@there.example"]),
        ('"ann b"@there.example', ['"ann b"@there.example']),
        ("<ann@localhost>, ann@localhost", ["ann@localhost"]),
        ("宛先ann@there.exampleは", ["ann@there.example"]),
        ("<jörg@bücher.example>", ["jörg@bücher.example"]),
        ("ann@[192.0.2.7]", ["ann@[192.0.2.7]"]),
        ("bounce+a=b.example@there.example", ["bounce+a=b.example@there.example"]),
        ("ann@there.example ann@there.example", ["ann@there.example"]),
        ("@there.example ann@ @", []),
    ],
)
def test_addresses(text: str, found: list[str]) -> None:
    assert addresses(text) == found


def test_the_address_of_a_field() -> None:
    assert first_address('"ben@elsewhere.example" <ann@there.example>') == "ann@there.example"
    assert first_address("ann@there.example (Ann)") == "ann@there.example"
    assert first_address("Ann") == ""


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; ann@there.example", "ann@there.example"),
        ("RFC822;<ann@there.example>", "ann@there.example"),
        ("ann@there.example", "ann@there.example"),
        ("rfc822; ann@there.example (was full)", "ann@there.example"),
        ("x400; /C=de/S=ann/", "/C=de/S=ann/"),
        ('rfc822; "a;b"@there.example', '"a;b"@there.example'),
        ("", ""),
    ],
)
def test_typed_addresses(value: str, address: str) -> None:
    assert typed_address(value) == address


def test_types() -> None:
    assert typed("DNS; mx.example (192.0.2.7)") == ("dns", "mx.example")


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("<a@b> <c@d>", ["<a@b>", "<c@d>"]),
        ("a@b", ["<a@b>"]),
        ("(x) <a@b>", ["<a@b>"]),
        ("<a b@c>", []),
        ("", []),
        ("one two", []),
    ],
)
def test_message_ids(value: str, ids: list[str]) -> None:
    assert message_ids(value) == ids


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?q?=C3=A9?= x", "é x"),
        ("=?no-such?q?a?=", "a"),
        ("=?utf-8?b?=", "=?utf-8?b?="),
        ("plain", "plain"),
        ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert decoded(value) == text
