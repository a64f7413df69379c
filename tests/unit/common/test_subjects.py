import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common import subjects


@given(st.text(min_size=1), st.integers(0, 9), st.lists(st.text(min_size=1), max_size=2))
def test_no_part_of_an_address_or_tag_is_in_a_subject(domain: str, priority: int, tags: list[str]) -> None:
    entry = make_entry("x@y", domain=domain, priority=priority, tags=tuple(tags))
    subject = subjects.entry("q", entry)
    assert subject.isascii()
    assert len(subject.split(".")) == 8
    assert len(subject) < 80
    assert subjects.as_kind("s", subject) == subjects.entry("s", entry)


def test_lanes_share_out_every_bucket_once() -> None:
    filters = [f for lane in range(16) for f in subjects.lane_filters("default", lane, 16, "b")]
    assert sorted(filters) == sorted(f"q.default.{group}.*.b.>" for group in range(subjects.GROUPS))


@given(st.integers(0, subjects.BUCKETS - 1), st.sets(st.integers(0, subjects.BUCKETS - 1), max_size=3))
def test_a_bucket_is_read_by_its_lane_or_by_itself(bucket: int, out: set[int]) -> None:
    subject = f"q.default.{subjects.group(bucket)}.{bucket}.b.-.sub.1"
    lanes = [f for lane in range(4) for f in subjects.lane_filters("default", lane, 4, "b", out)]
    own = [subjects.bucket_filter("default", one, "b") for one in out]
    assert sum(_matches(filter_, subject) for filter_ in lanes + own) == 1
    assert sum(_matches(filter_, subject) for filter_ in own) == (bucket in out)
    assert subjects.bucket_of(subject) == bucket


def _matches(filter_: str, subject: str) -> bool:
    return re.fullmatch(filter_.replace(".", r"\.").replace("*", "[^.]+").replace(">", ".+"), subject) is not None


@pytest.mark.parametrize("kind", ["q", "s", "h"])
def test_filters_reach_every_state_of_an_entry(kind: subjects.Kind) -> None:
    entry = make_entry("x@example.org", tags=("news",))
    subject = subjects.entry(kind, entry)
    for filter_ in (
        subjects.submission("default", entry.submission),
        subjects.campaign("default", "news"),
        subjects.domain("default", "example.org"),
    ):
        assert _matches(filter_, subject)
    assert not _matches(subjects.campaign("default", "other"), subject)


def test_bands() -> None:
    assert "".join(subjects.band(priority) for priority in range(10)) == "ccccbbbaaa"


def test_the_bucket_of_a_domain_is_a_stored_format() -> None:
    assert [subjects.bucket(domain) for domain in ("example.com", "example.org", "gmail.com")] == [1307, 2585, 1471]
