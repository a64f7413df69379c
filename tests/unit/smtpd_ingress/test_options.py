from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpd_ingress.headers import Field
from smtpd_ingress.options import MAX_AHEAD, MAX_META, MAX_TAG, MAX_TAGS, Options, read_options
from smtpd_ingress.rejection import RefusedError

NOW = 1_800_000_000.0
POOLS = ("default", "bulk-1")
NAMES = ("X-Postjet-Priority", "X-Postjet-Delay", "X-Postjet-Schedule")


def fields(*given: tuple[str, str]) -> list[Field]:
    return [Field(name.lower(), f"{name}: {value}\r\n".encode()) for name, value in given]


def due(*given: tuple[str, str]) -> float:
    return read_options(fields(*given), NOW, POOLS).due(NOW)


def refusal(*given: tuple[str, str]) -> str:
    with pytest.raises(RefusedError) as refused:
        read_options(fields(*given), NOW, POOLS)
    return str(refused.value.reply)


def test_none_given() -> None:
    assert read_options([], NOW, POOLS) == Options(priority=4)
    assert Options().due(NOW) == 0


@given(st.integers(0, 9), st.integers(0, MAX_AHEAD))
def test_priority_and_delay(priority: int, delay: int) -> None:
    options = read_options(fields((NAMES[0], str(priority)), (NAMES[1], str(delay))), NOW, POOLS)
    assert options.priority == priority
    assert options.due(NOW + 7) == (NOW + 7 + delay if delay else 0)  # the time of a long upload is no part of it


@given(
    st.datetimes(datetime(2027, 1, 16), datetime(2028, 1, 14)), st.integers(-1439, 1439), st.sampled_from("Tt ")
)
def test_schedule_as_rfc_3339_and_as_unix_time(at: datetime, offset: int, separator: str) -> None:
    there = at.replace(tzinfo=timezone(timedelta(minutes=offset)))
    expected = there.timestamp()
    assert due((NAMES[2], there.isoformat(separator))) == expected
    assert due((NAMES[2], f"{int(expected)}")) == int(expected)
    assert due((NAMES[2], f"{expected:.6f}")) == pytest.approx(expected, abs=1e-5)
    assert due((NAMES[2], there.astimezone(UTC).isoformat().replace("+00:00", "z"))) == expected


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0", "1799999999.5"])
def test_a_time_in_the_past_is_now(text: str) -> None:
    assert due((NAMES[2], text)) == 0


def test_what_is_almost_now_is_now() -> None:
    assert due((NAMES[2], f"{NOW + 0.9}")) == 0
    assert due((NAMES[2], f"{NOW + 1.1}")) == pytest.approx(NOW + 1.1)
    assert due((NAMES[1], "1")) == NOW + 1


def test_schedule_is_ignored_beside_delay() -> None:
    assert due((NAMES[2], "2027-06-01T00:00:00Z"), (NAMES[1], "60")) == NOW + 60
    assert due((NAMES[2], "2027-06-01T00:00:00Z"), (NAMES[1], "0")) == 0
    assert due((NAMES[2], "tomorrow"), (NAMES[1], "60")) == NOW + 60


@pytest.mark.parametrize(
    "value", ["", "10", "-1", "+1", "4.0", "high", "١", "4 4", "0x4"]
)  # fmt: skip
def test_bad_priority(value: str) -> None:
    assert refusal((NAMES[0], value)).startswith("550 5.6.0 X-Postjet-Priority: ")
    assert refusal((NAMES[0], value)).endswith("must be 0 to 9; 9 is the most urgent")


@pytest.mark.parametrize("value", ["", "-60", "1h", "1.5", "1e3", "9999999999999", "１"])
def test_bad_delay(value: str) -> None:
    assert refusal((NAMES[1], value)).endswith(" must be whole seconds, such as 3600")


@pytest.mark.parametrize(
    "value", ["", "tomorrow", "-1", "2027-02-30T00:00:00Z", "2027-02-03T00:00:00", "2027-02-03", "20270203T000000Z",
              "2027-02-03T24:01:00Z", "2027-02-03T00:00:00+0100", "2027-W05-3T00:00:00Z", "1800000000000",
              "2027-02-03T00:00:00+25:00", "nan", "1_0"],
)  # fmt: skip
def test_bad_schedule(value: str) -> None:
    assert "must be a time such as 2027-01-31T08:00:00+01:00" in refusal((NAMES[2], value))


@pytest.mark.parametrize(
    ("name", "value"),
    [(NAMES[1], str(MAX_AHEAD + 1)), (NAMES[2], str(NOW + MAX_AHEAD + 1)), (NAMES[2], "9999-12-31T23:59:59Z")],
)
def test_more_than_a_year_is_refused(name: str, value: str) -> None:
    assert f"{name}: '{value}' is more than a year" in refusal((name, value))


@pytest.mark.parametrize("name", NAMES)
def test_given_twice(name: str) -> None:
    assert refusal((name, "5"), (name.upper(), "5")) == f"550 5.6.0 {name.upper()}: given twice; keep one of them"


def test_unknown() -> None:
    assert refusal(("X-Postjet-Hue", "a")) == "550 5.6.0 X-Postjet-Hue: no option of this version; remove the field"


def test_pool() -> None:
    assert read_options(fields(("X-Postjet-Pool", " bulk-1 ")), NOW, POOLS).pool == "bulk-1"
    assert read_options([], NOW, POOLS).pool == "default"


@pytest.mark.parametrize("value", ["", "Bulk-1", "news", "bulk-1, default"])
def test_unknown_pool(value: str) -> None:
    said = f"550 5.6.0 X-Postjet-Pool: {value!r} is no pool here; there are default, bulk-1"
    assert refusal(("X-Postjet-Pool", value)) == said


def tags(*values: str) -> tuple[str, ...]:
    return read_options(fields(*(("X-Postjet-Tag", value) for value in values)), NOW, POOLS).tags


def meta(*given: tuple[str, str]) -> dict[str, str]:
    return read_options(fields(*((f"X-Postjet-Meta-{key}", value) for key, value in given)), NOW, POOLS).meta


def test_tags_are_kept_in_their_order_each_once() -> None:
    assert tags("spring sale", "  red ", "spring\r\n\tsale", "X") == ("spring sale", "red", "X")
    assert tags("x" * MAX_TAG) == ("x" * MAX_TAG,)
    numbers = [str(number) for number in range(MAX_TAGS)]
    assert tags(*numbers, "0") == tuple(numbers)


@pytest.mark.parametrize(
    ("value", "why"),
    [("", "'' must be text of printable ASCII"), (" \t", "'' must be text"), ("é", "'??' must be text"),
     ("a\0b", "'a?b' must be text"), ("red, green", "'red, green' has a comma; one field for each tag"),
     ("x" * (MAX_TAG + 1), "is too long; at most 128 characters")],
)  # fmt: skip
def test_bad_tag(value: str, why: str) -> None:
    assert refusal(("X-Postjet-Tag", value)).startswith("550 5.6.0 X-Postjet-Tag: '")
    assert why in refusal(("X-Postjet-Tag", value))


def test_too_many_tags() -> None:
    given = [("X-Postjet-Tag", str(number)) for number in range(MAX_TAGS + 1)]
    assert refusal(*given) == "550 5.6.0 X-Postjet-Tag: given too often; at most 10 tags"


def test_meta_has_keys_in_lower_case() -> None:
    assert meta(("Customer_ID", " 4711 "), ("x-2", "a, b")) == {"customer_id": "4711", "x-2": "a, b"}
    assert meta(("k", "v" * (MAX_META - 1))) == {"k": "v" * (MAX_META - 1)}


@pytest.mark.parametrize("key", ["", "-a", "a.b", "k" * 65, "Report_of"])
def test_bad_key_of_meta(key: str) -> None:
    assert "no such key; use others, of letters, digits, - and _" in refusal((f"X-Postjet-Meta-{key}", "x"))


@pytest.mark.parametrize(
    ("given", "why"),
    [([("k", "")], "must be text of printable ASCII"), ([("k", "1"), ("K", "2")], "given twice; keep one of them"),
     ([("k", "v" * MAX_META)], "too much; at most 2000 characters"),
     ([("k", "v" * 1500), ("m", "v" * 500)], "too much; at most 2000 characters")],
)  # fmt: skip
def test_bad_meta(given: list[tuple[str, str]], why: str) -> None:
    assert why in refusal(*((f"X-Postjet-Meta-{key}", value) for key, value in given))


def test_what_the_client_wrote_is_shown_cut_and_printable() -> None:
    reply = refusal((NAMES[0], "\x1b[2Jé" + "x" * 1000))
    assert "'?[2J" in reply
    assert len(reply) < 200


MORE = ("X-Postjet-Pool", "X-Postjet-Tag", "X-Postjet-Meta-a", "X-Postjet-Meta-b", "X-Postjet-Hue")
VALUES = st.text(alphabet="0123456789-+:.TZ zté\0", max_size=30) | st.text(max_size=20)


@given(st.lists(st.tuples(st.sampled_from([*NAMES, *MORE]), VALUES), max_size=4))
def test_options_or_a_refusal(given: list[tuple[str, str]]) -> None:
    try:
        options = read_options(fields(*given), NOW, POOLS)
    except RefusedError as error:
        assert error.reply.code == 550
        return
    at = options.due(NOW)
    assert all(text.isascii() and text.isprintable() for text in (*options.tags, *options.meta.values()))
    assert 0 <= options.priority <= 9
    assert at == 0 or NOW + 1 <= at <= NOW + MAX_AHEAD
