from hypothesis import given
from hypothesis import strategies as st
from support import make_entry

from common import subjects


@given(st.text(min_size=1), st.integers(0, 9), st.lists(st.text(min_size=1), max_size=2))
def test_no_part_of_an_address_or_tag_is_in_a_subject(domain: str, priority: int, tags: list[str]) -> None:
    entry = make_entry("x@y", domain=domain, priority=priority, tags=tuple(tags))
    subject = subjects.entry("q", entry)
    assert subject.isascii()
    assert len(subject.split(".")) == 7
    assert len(subject) < 80
    assert subjects.as_kind("s", subject) == subjects.entry("s", entry)


def test_lanes_share_out_every_bucket_once() -> None:
    filters = [f for lane in range(16) for f in subjects.lane_filters("default", lane, 16, "b")]
    assert len(filters) == len(set(filters)) == subjects.BUCKETS


def test_bands() -> None:
    assert "".join(subjects.band(priority) for priority in range(10)) == "ccccbbbaaa"


def test_the_bucket_of_a_domain_is_a_stored_format() -> None:
    assert [subjects.bucket(domain) for domain in ("example.com", "example.org", "gmail.com")] == [283, 537, 447]
