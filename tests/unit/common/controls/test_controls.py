"""Which order an entry is under: the index says what each order alone would say; the stored form comes back."""

import json
from dataclasses import replace

import pytest
from control_support import make_order
from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common.controls.control import MATCHERS, Control, Match
from common.controls.controls import Controls
from common.subjects import as_kind, entry

SUBMISSIONS = ["01k80104jjg883qldg58", "01k80104jjg883qldg59"]
NAMES = st.sampled_from(["a", "b", "c"])
DOMAINS = st.sampled_from(["a.example", "b.example"])
MATCHES = st.builds(
    Match,
    id=st.sampled_from(["", "", "", *SUBMISSIONS, f"{SUBMISSIONS[0]}-1", f"{SUBMISSIONS[0]}-2"]),
    campaign=st.sampled_from(["", "", "a", "b"]),
    tag=st.sampled_from(["", "", "a", "b", "c"]),
    sender=st.sampled_from(["", "", "s@a.example", "@a.example", "@b.example"]),
    domain=st.sampled_from(["", "", "a.example", "b.example"]),
    pool=st.sampled_from(["", "", "default", "bulk"]),
    header=st.sampled_from(["", "", "list-id: <a>", "list-id: <b>"]),
).filter(bool)
ENTRIES = st.builds(
    make_entry,
    submission=st.sampled_from(SUBMISSIONS),
    number=st.integers(1, 2),
    tags=st.lists(NAMES, max_size=2, unique=True).map(tuple),
    sender=st.sampled_from(["", "s@a.example", "S@A.example", "t@b.example"]),
    domain=DOMAINS,
    pool=st.sampled_from(["default", "bulk"]),
    headers=st.sampled_from([{}, {"list-id": "<a>"}, {"list-id": "<b>"}]),
)
ORDERS = st.builds(
    make_order, st.sampled_from(["pause", "stop"]), match=MATCHES, since=st.floats(0, 1e9), report=st.booleans(),
    until=st.floats(0, 1e9), reason=st.text(), by=st.text(), released=st.booleans(),
)  # fmt: skip


@given(st.lists(ORDERS, max_size=8), ENTRIES)
def test_the_index_finds_what_each_order_alone_would(orders: list[Control], of: object) -> None:
    covering = [order for order in orders if order.match.covers(of)]  # type: ignore[arg-type]
    found = Controls(orders).match(of)  # type: ignore[arg-type]
    assert (found is not None) == bool(covering)
    if found:
        stops = [order for order in covering if order.action == "stop"]
        assert found in (stops or covering)
        assert found.since == min(order.since for order in stops or covering)


@pytest.mark.parametrize(
    ("matcher", "value"),
    [
        ("id", SUBMISSIONS[0]), ("id", f"{SUBMISSIONS[0]}-1"), ("campaign", "spring"), ("tag", "web"),
        ("sender", "s@a.example"), ("sender", "@a.example"), ("domain", "b.example"), ("pool", "bulk"),
        ("header", "list-id: <x>"),
    ],
)  # fmt: skip
def test_every_matcher_must_hold(matcher: str, value: str) -> None:
    of = make_entry(
        "r@b.example", submission=SUBMISSIONS[0], tags=("spring", "web"), sender="S@a.example", pool="bulk",
        headers={"list-id": "<x>"},
    )  # fmt: skip
    assert Match(**{matcher: value}).covers(of)
    assert not Match(**{matcher: f"x{value}"}).covers(of)
    assert Match(**{"tag": "web", matcher: value}).covers(of)
    assert not Match(**{"tag": "web", "campaign": "other"} | {matcher: f"x{value}"}).covers(of)


def test_mail_without_a_value_is_not_meant() -> None:
    of = make_entry("r@b.example", sender="")
    for matcher in MATCHERS:
        if matcher not in ("id", "domain", "pool"):
            assert not Match(**{matcher: "x"}).covers(of)


@given(MATCHES, ENTRIES)
def test_the_filter_selects_all_that_is_meant(match: Match, of: object) -> None:
    if match.pool or not match.covers(of):  # type: ignore[arg-type]
        return
    subject = as_kind("h", entry("q", of))  # type: ignore[arg-type]
    filter_ = match.filter("h", of.pool)  # type: ignore[attr-defined]
    assert len(filter_.split(".")) == len(subject.split("."))
    assert all(part in ("*", token) for part, token in zip(filter_.split("."), subject.split("."), strict=True))


@given(ORDERS)
def test_the_stored_form_comes_back(order: Control) -> None:
    assert Control.unpack(order.pack(), 7) == order
    assert Control.unpack(order.pack(), 7).revision == 7


def test_a_later_version_may_add_what_it_likes_but_no_matcher() -> None:
    order = make_order()
    values = json.loads(order.pack())
    assert Control.unpack(json.dumps(values | {"new": 1}).encode()) == order
    for wrong in ({"v": 2}, {"match": {"new": "x"}}, {"action": "explode"}, {"match": None}, {"match": {}}):
        with pytest.raises(ValueError, match="order"):
            Control.unpack(json.dumps(values | wrong).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff"])
def test_what_is_no_order_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an order"):
        Control.unpack(data)


def test_an_order_is_over_when_it_was_ended_or_its_time_has_come() -> None:
    order = make_order(until=100.0)
    assert [order.is_over(now) for now in (99, 100)] == [False, True]
    assert not replace(order, until=0).is_over(1e12)
    assert replace(order, until=0, ended=1.0).is_over(0)
