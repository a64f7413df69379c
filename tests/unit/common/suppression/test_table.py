"""The table finds what the list it was filled with would find, by 24 bytes for each."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.suppression.store import bucket_of
from common.suppression.suppression import Source, Suppression, pack, scopes, unpack_records
from common.suppression.suppressions import Suppressions
from common.suppression.table import Table

from .test_suppression import NOW, SUPPRESSIONS, one


def table(*suppressions: Suppression) -> Table:
    found = Table()
    put(found, *suppressions)
    return found


def put(into: Table, *suppressions: Suppression) -> None:
    for number in {bucket_of(each.recipient) for each in suppressions}:
        held = [each for each in suppressions if bucket_of(each.recipient) == number]
        into.put(number, unpack_records(pack(held)))


@given(st.lists(SUPPRESSIONS, max_size=8), st.sampled_from(["n@s.example", "m@S.example", "n@t.example", ""]))
def test_it_finds_what_holds(suppressions: list[Suppression], sender: str) -> None:
    filled = table(*suppressions)
    assert filled.count == len(suppressions)
    for recipient in ("a@x.example", "B@x.example", "Jörg@y.example", "c@x.example"):
        holding = [
            one
            for one in suppressions
            if one.recipient == recipient.lower() and one.scope in scopes(sender) and not one.is_over(NOW)
        ]
        found = filled.find(sender, recipient, NOW)
        assert (found is None) == (not holding)
        if found:
            assert (found.scope, found.source, found.until) in {(o.scope, o.source, o.until) for o in holding}
            counted = all(one.source is Source.COUNTED for one in holding)
            assert (found.source is Source.COUNTED) == counted


def test_a_bucket_is_replaced_as_a_whole() -> None:
    filled = table(one("a@x.example"))
    put(filled, one("a@x.example", Source.COMPLAINT))
    found = filled.find("", "a@x.example", NOW)
    assert found
    assert (found.source, filled.count) == (Source.COMPLAINT, 1)
    filled.put(bucket_of("a@x.example"), [])
    assert filled.find("", "a@x.example", NOW) is None
    assert filled.count == 0


def test_it_holds_until_its_last_second() -> None:
    filled = table(one(until=NOW + 0.5))
    assert filled.find("", "b@x.example", NOW + 0.4)
    assert not filled.find("", "b@x.example", NOW + 1)


@pytest.mark.parametrize(
    "record", [[], ["a@x.example", "*", "whatever", "", 1.0, 0, "", []], ["a", "*", "bounce", "", 1],
               ["a@x.example", "*", "bounce", "", 1.0, -5.0, "", []]]
)  # fmt: skip
def test_what_is_no_record_is_told(record: list[object]) -> None:
    filled = table(one())
    with pytest.raises((ValueError, TypeError, LookupError, OverflowError)):
        filled.put(bucket_of("b@x.example"), [record])
    assert filled.find("", "b@x.example", NOW)


def test_what_ends_in_the_far_future() -> None:
    assert table(one(until=1e300)).find("", "b@x.example", NOW)


def test_time_is_now_by_default() -> None:
    known = Suppressions()
    known._table = table(one(until=time.time() + 60), one("c@x.example", until=time.time() - 60))
    assert len(known) == 2
    assert known.find("", "b@x.example")
    assert not known.find("", "c@x.example")
