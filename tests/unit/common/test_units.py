import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.units import Rate, format_duration, format_size, parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("50MB", 50_000_000), ("64KiB", 65536), ("1.5 GB", 1_500_000_000), ("7", 7), (7, 7), ("2k", 2000)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("4h", 14400), ("90d", 7776000), ("250ms", 0.25), ("1w", 604800), (9, 9)],
)
def test_durations(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.text())
def test_what_is_no_size_or_duration_is_refused_with_an_example(text: str) -> None:
    for parse, example in ((parse_size, "50MB"), (parse_duration, "5m")):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert example in str(error)


@given(st.floats(0, 1e9))
def test_formats_are_short(value: float) -> None:
    assert len(format_size(value)) < 10
    assert len(format_duration(value)) < 10


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0016, "0.0016s"), (59, "59s"), (300, "5m"), (3900, "1h05m"), (3600, "1h"), (90000, "1d1h")]
)
def test_durations_as_people_read_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "amount", "per"),
    [
        ("20/s", 20, 1), ("600/m", 600, 60), ("10000/h", 10_000, 3600), ("50000/d", 50_000, 86_400),
        ("5/10s", 5, 10), (" 1 / 2 h ", 1, 7200),
    ],
)  # fmt: skip
def test_rates(text: str, amount: int, per: float) -> None:
    assert parse_rate(text) == Rate(amount, per)


@given(st.integers(1, 999_999_999), st.integers(1, 9999), st.sampled_from("smhd"))
def test_a_rate_reads_as_it_is_written(amount: int, count: int, unit: str) -> None:
    rate = parse_rate(f"{amount}/{count}{unit}")
    assert rate.amount == amount
    assert rate.per == parse_duration(f"{count}{unit}")
    assert parse_rate(str(rate)) == rate


@given(st.text() | st.from_regex(r"\d*/\d*[a-z]?", fullmatch=True) | st.integers() | st.none())
def test_what_is_no_rate_is_refused_with_an_example(text: object) -> None:
    try:
        rate = parse_rate(text)
        assert rate.amount >= 1
        assert rate.per >= 1
    except ValueError as error:
        assert "20/s" in str(error)
