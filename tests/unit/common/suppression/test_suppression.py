"""What a suppression is, what a bucket becomes with one more, and how it is stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.addresses import AddressError
from common.suppression.suppression import (
    EVERYBODY,
    Source,
    Suppression,
    folded,
    merged,
    pack,
    parse_recipient,
    parse_scope,
    scopes,
    unpack,
)

NOW = 1_763_800_000.0


def one(recipient: str = "b@x.example", source: Source = Source.BOUNCE, **values: object) -> Suppression:
    return Suppression(recipient=recipient, source=source, **({"since": NOW} | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Bob@X.Example", "bob@x.example"),
        (" bob@xn--bcher-kva.example ", "bob@xn--bcher-kva.example"),
        ("bob@Bücher.example", "bob@xn--bcher-kva.example"),
        ("Jo\u0308rg@x.example", "j\u00f6rg@x.example"),
        ("b@[IPv6:2001:DB8::1]", "b@[ipv6:2001:db8::1]"),
    ],
)
def test_a_recipient_has_one_form(written: str, meant: str) -> None:
    assert parse_recipient(written) == meant
    assert folded(meant) == meant


@pytest.mark.parametrize("text", ["", "bob", "@x.example", "a b@x.example", "bob@", "bob@x..example"])
def test_no_recipient(text: str) -> None:
    with pytest.raises(AddressError):
        parse_recipient(text)


def test_scopes() -> None:
    assert scopes("News@Shop.Example") == ("*", "@shop.example", "news@shop.example")
    assert scopes("") == ("*",)
    assert [parse_scope(text) for text in ("", "*", "@Shop.example", "News@shop.example")] == [
        "*", "*", "@shop.example", "news@shop.example",
    ]  # fmt: skip
    with pytest.raises(AddressError):
        parse_scope("shop.example")


SUPPRESSIONS = st.builds(
    Suppression,
    recipient=st.sampled_from(["a@x.example", "b@x.example", "jörg@y.example"]),
    scope=st.sampled_from([EVERYBODY, "@s.example", "n@s.example"]),
    source=st.sampled_from(Source),
    reason=st.text(max_size=20),
    since=st.floats(1, 2e9),
    until=st.sampled_from([0.0, NOW - 1, NOW + 1, NOW + 99]),
    by=st.text(max_size=20),
    bounces=st.lists(st.tuples(st.floats(1, 2e9), st.text(max_size=9)), max_size=3).map(tuple),
)


@given(st.lists(SUPPRESSIONS))
def test_stored_form(suppressions: list[Suppression]) -> None:
    assert unpack(pack(suppressions)) == suppressions
    assert unpack(b"") == []


@given(st.binary(max_size=60))
def test_what_is_no_bucket_is_told_as_that(data: bytes) -> None:
    try:
        unpack(data)
    except ValueError as error:
        assert "suppressions" in str(error)


@given(st.lists(SUPPRESSIONS, max_size=12), st.booleans())
def test_a_bucket_has_each_recipient_once_for_a_scope(several: list[Suppression], replace: bool) -> None:
    there: list[Suppression] = []
    for new in several:
        left = merged(there, new, NOW, replace=replace)
        if left is None:
            assert not replace
            continue
        there = left
        assert new in there
    keys = [(one.recipient, one.scope) for one in there]
    assert len(set(keys)) == len(keys)


def test_what_lasts_as_long_stays() -> None:
    for_ever, month, week = one(until=0), one(until=NOW + 30), one(until=NOW + 7)
    assert merged([for_ever], month, NOW) is None
    assert merged([month], week, NOW) is None
    assert merged([month], month, NOW) is None
    assert merged([week], month, NOW) == [month]
    assert merged([month], for_ever, NOW) == [for_ever]
    assert merged([for_ever], week, NOW, replace=True) == [week]


def test_what_is_over_goes() -> None:
    old, other = one("a@x.example", until=NOW), one("c@x.example", until=NOW + 1)
    assert merged([old, other], one(), NOW) == [other, one()]


def test_what_is_only_counted_holds_nothing_back() -> None:
    counted, bounce = one(source=Source.COUNTED, until=NOW + 99), one(until=NOW + 9)
    assert merged([counted], bounce, NOW) == [bounce]
    assert merged([bounce], counted, NOW) is None
    more = one(source=Source.COUNTED, until=NOW + 100, bounces=((NOW, "d"),))
    assert merged([counted], more, NOW) == [more]
