import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.options import (
    NOTHING,
    RESERVED,
    OptionError,
    Options,
    When,
    parse_notify,
    parse_time,
    read,
    written_options,
)
from common.queue.reports import ABOUT

NOW = 1_800_000_000.0
TEXT = st.text(max_size=3)
LAYER = st.builds(
    Options,
    pool=st.none() | TEXT,
    priority=st.none() | st.integers(0, 9),
    later=st.none() | st.builds(When, st.floats(0, 9)),
    tags=st.none() | st.tuples(TEXT),
    meta=st.none() | st.dictionaries(st.sampled_from("ab"), TEXT, min_size=1),
    notify=st.none() | TEXT,
    expire=st.none() | st.builds(When, st.floats(0, 9)),
)


@given(LAYER, LAYER)
def test_what_a_layer_does_not_say_the_next_one_says(strong: Options, weak: Options) -> None:
    both = strong.over(weak)
    for name in ("pool", "priority", "later", "tags", "notify", "ret", "envid", "expire"):
        said = getattr(strong, name)
        assert getattr(both, name) == (getattr(weak, name) if said is None else said)
    assert (both.meta or {}) == {**(weak.meta or {}), **(strong.meta or {})}


@given(LAYER, LAYER, LAYER)
def test_layers_may_be_laid_in_any_grouping(a: Options, b: Options, c: Options) -> None:
    assert a.over(b).over(c) == a.over(b.over(c))
    assert a.over(NOTHING) == NOTHING.over(a) == a


def test_a_configuration_writes_them_as_it_likes() -> None:
    written = {"pool": "bulk", "priority": 3, "tags": ["a", "b"], "meta": {"Shop": 7}, "expire": "2d"}
    with pytest.raises(OptionError):  # keys of meta are lower case
        read(written_options(written), NOW, ["bulk"])
    written["meta"] = {"shop": 7}
    options = Options(pool="bulk", priority=3, tags=("a", "b"), meta={"shop": "7"}, expire=When(delay=172_800))
    assert read(written_options(written), NOW, ["bulk"]) == options
    assert read(written_options({"tag": "a", "meta-x": "y"}), NOW, []) == Options(tags=("a",), meta={"x": "y"})
    assert read({}, NOW, []) is NOTHING


@pytest.mark.parametrize("given", [{"colour": ["red"]}, {"priority": ["1", "2"]}, {"meta-report_of": ["x"]}])
def test_the_error_names_the_option(given: dict[str, list[str]]) -> None:
    with pytest.raises(OptionError) as caught:
        read(given, NOW, [])
    assert caught.value.name == next(iter(given))


def test_the_key_of_reports_is_theirs() -> None:
    assert RESERVED == ABOUT


@given(st.text(alphabet="NEVRSUCFAILDY,neverdelay ", max_size=24) | st.text(max_size=10))
def test_notify_is_understood_or_refused(text: str) -> None:
    try:
        events = parse_notify(text).split(",")
    except ValueError:
        return
    assert events == ["NEVER"] or (len(set(events)) == len(events) and set(events) <= {"SUCCESS", "FAILURE", "DELAY"})


@given(st.text(alphabet="0123456789-:TZtz+. ", max_size=26))
def test_times_are_understood_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_time(text), float)
    except ValueError:
        return
