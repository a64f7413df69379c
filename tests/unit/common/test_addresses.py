import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.addresses import Address, AddressError, NonASCIIError, normal_domain, parse_mailbox, parse_path

ATOM = st.text(string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=20)
LABEL = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("a@Example.ORG", "a", "example.org"),
        ("First.Last+tag@example.org", "First.Last+tag", "example.org"),
        ('"quoted @ local"@example.org', '"quoted @ local"', "example.org"),
        (r'"a\"b\\"@example.org', r'"a\"b\\"', "example.org"),
        ('""@example.org', '""', "example.org"),
        ("a@localhost", "a", "localhost"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[ipv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]"),
        ("a@bücher.example", "a", "xn--bcher-kva.example"),
        ("a@BÜCHER。example", "a", "xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"),
        ("a@faß.example", "a", "xn--fa-hia.example"),
        ("x" * 64 + "@example.org", "x" * 64, "example.org"),
    ],
)
def test_addresses(text: str, local: str, domain: str) -> None:
    assert parse_mailbox(text) == Address(local, domain)


@pytest.mark.parametrize(
    "text",
    ["", "a", "@example.org", "a@", ".a@example.org", "a.@example.org", "a..b@example.org", "a b@example.org",
     "a\0@example.org", "a@b@example.org", '"a@example.org', '"a"b@example.org', '"a\r\n"@example.org',
     "x" * 65 + "@example.org",
     "a@example..org", "a@.example.org", "a@example.org.", "a@-x.example", "a@x-.example", "a@under_score.example",
     "a@exa mple.org", "a@☕.example", "a@\u202eexample", "a@" + "x" * 64 + ".org", "a@" + "x." * 127 + "xx",
     "a@" + "ü" * 300, "x" * 64 + "@" + ".".join(["y" * 63] * 3),
     "a@[192.0.2.256]", "a@[192.0.2]", "a@192.0.2.1]", "a@[192.0.2.1", "a@[2001:db8::1]", "a@[IPv6:192.0.2.1]",
     "a@[IPv6:fe80::1%eth0]", "a@[x400:abc]", "a@[]", "a@[[192.0.2.1]]"],
)  # fmt: skip
def test_no_addresses(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox(text)


def test_non_ascii_local_part_is_told_apart() -> None:
    with pytest.raises(NonASCIIError):
        parse_mailbox("jürgen@example.org")


def test_paths() -> None:
    assert parse_path("<>") is None
    assert parse_path("<PostMaster>") == Address("PostMaster", "")
    assert str(parse_path("<PostMaster>")) == "PostMaster"
    assert parse_path("<@a.example,@b.example:c@d.example>") == Address("c", "d.example")
    for text in ("", "< >", "a@b.example", "<a@b.example", "a@b.example>", "<@a.example:>", "<@a.example,c@d.example>"):
        with pytest.raises(AddressError):
            parse_path(text)


def test_longest_path() -> None:
    domain = ".".join(["y" * 63, "y" * 63, "y" * 61])
    longest = parse_mailbox("x" * 64 + "@" + domain)
    assert len(f"<{longest}>") == 256


@given(st.lists(ATOM, min_size=1, max_size=3), st.lists(LABEL, min_size=1, max_size=4))
def test_grammar_is_taken(atoms: list[str], labels: list[str]) -> None:
    local, domain = ".".join(atoms)[:64].rstrip("."), ".".join(labels)
    address = parse_mailbox(f"{local}@{domain}")
    assert (address.local, address.domain) == (local, domain.lower())
    assert parse_path(f"<{address}>") == address


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    for parse in (parse_path, parse_mailbox):
        try:
            address = parse(text)
        except AddressError:
            continue
        assert address is None or parse_path(f"<{address}>") == address


@given(st.text(max_size=80))
def test_a_normal_domain_is_its_own_normal_form(text: str) -> None:
    try:
        domain = normal_domain(text)
    except AddressError:
        return
    assert domain.isascii()
    assert normal_domain(domain) == domain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("jürgen@example.org", "jürgen@example.org"),
        ("用户.名@例え.example", "用户.名@xn--r8jz45g.example"),
        ('"é \\" x"@bücher.example', '"é \\" x"@xn--bcher-kva.example'),
        ("plain@example.org", "plain@example.org"),
        ("ü" * 32 + "@example.org", "ü" * 32 + "@example.org"),
    ],
)
def test_local_parts_in_utf_8(text: str, address: str) -> None:
    assert str(parse_mailbox(text, utf8=True)) == address
    assert str(parse_path(f"<{text}>", utf8=True)) == address


@pytest.mark.parametrize(
    "text",
    ["ü..b@example.org", "ü b@example.org", "a\u0085@example.org", "a\u2028@example.org", "a\u202eb@example.org",
     "a\ud800@example.org", '"\\é"@example.org', "ü" * 33 + "@example.org", f"ü@{'é' * 300}.example"],
)  # fmt: skip
def test_no_local_parts_in_utf_8(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox(text, utf8=True)


@given(st.text(max_size=40), st.booleans())
def test_utf_8_or_not_addresses_fit_their_limits(text: str, utf8: bool) -> None:
    try:
        address = parse_mailbox(text, utf8=utf8)
    except AddressError:
        return
    assert address.domain.isascii()
    assert utf8 or address.local.isascii()
    assert len(str(address).encode()) <= 254
