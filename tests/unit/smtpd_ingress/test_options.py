from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.options import MAX_AHEAD, MAX_META, MAX_TAG, MAX_TAGS, NOTHING, Options, When
from smtpd_ingress.headers import Field
from smtpd_ingress.options import HeaderOptions
from smtpd_ingress.rejection import RefusedError

NOW = 1_800_000_000.0
POOLS = ("default", "bulk-1")
NAMES = ("X-Postjet-Priority", "X-Postjet-Delay", "X-Postjet-Schedule")


def fields(*given: tuple[str, str]) -> list[Field]:
    return [Field(name.lower(), f"{name}: {value}\r\n".encode()) for name, value in given]


def read(*given: tuple[str, str]) -> Options:
    options = HeaderOptions(POOLS)
    return options.read(options.among(fields(*given)), NOW)


def due(*given: tuple[str, str]) -> float:
    return read(*given).due(NOW)


def refusal(*given: tuple[str, str]) -> str:
    with pytest.raises(RefusedError) as refused:
        read(*given)
    return str(refused.value.reply)


def test_none_given() -> None:
    assert read() == read(("Subject", "x")) == NOTHING
    assert NOTHING.due(NOW) == 0


@given(st.integers(0, 9), st.integers(0, MAX_AHEAD))
def test_priority_and_delay(priority: int, delay: int) -> None:
    options = read((NAMES[0], str(priority)), (NAMES[1], str(delay)))
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
    assert read(("X-Postjet-Pool", " bulk-1 ")).pool == "bulk-1"


@pytest.mark.parametrize("value", ["", "Bulk-1", "news", "bulk-1, default"])
def test_unknown_pool(value: str) -> None:
    said = f"550 5.6.0 X-Postjet-Pool: {value!r} is no pool here; there are default, bulk-1"
    assert refusal(("X-Postjet-Pool", value)) == said


def tags(*values: str) -> tuple[str, ...]:
    return read(*(("X-Postjet-Tag", value) for value in values)).tags or ()


def meta(*given: tuple[str, str]) -> dict[str, str]:
    return read(*((f"X-Postjet-Meta-{key}", value) for key, value in given)).meta or {}


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


@pytest.mark.parametrize(
    ("value", "kept"),
    [("never", "NEVER"), ("success, FAILURE", "SUCCESS,FAILURE"), ("Delay", "DELAY"),
     ("DELAY,SUCCESS,FAILURE", "DELAY,SUCCESS,FAILURE")],
)  # fmt: skip
def test_notify(value: str, kept: str) -> None:
    assert read(("X-Postjet-Notify", value)).notify == kept


@pytest.mark.parametrize("value", ["", "NEVER,DELAY", "DELAY,DELAY", "ALWAYS", "SUCCESS,", "SUCCESS FAILURE"])
def test_bad_notify(value: str) -> None:
    said = f"550 5.6.0 X-Postjet-Notify: {value!r} must be NEVER, or some of SUCCESS,FAILURE,DELAY, each once"
    assert refusal(("X-Postjet-Notify", value)) == said


def test_ret_and_envid() -> None:
    options = read(("X-Postjet-Ret", "hdrs"), ("X-Postjet-Envid", "QQ 3+1=4"))
    assert (options.ret, options.envid) == ("HDRS", "QQ+203+2B1+3D4")
    assert refusal(("X-Postjet-Ret", "HEADERS")) == "550 5.6.0 X-Postjet-Ret: 'HEADERS' must be FULL or HDRS"
    for value in ("", "x" * 101, "+" * 34, "\0"):
        assert "must be printable ASCII, at most 100 characters in xtext" in refusal(("X-Postjet-Envid", value))


@pytest.mark.parametrize(
    ("value", "when"),
    [("3600", When(delay=3600)), ("90m", When(delay=5400)), ("1.5 d", When(delay=129_600)), ("1", When(delay=1)),
     ("2027-01-15T09:00:00+01:00", When(at=NOW))],
)  # fmt: skip
def test_expire(value: str, when: When) -> None:
    options = HeaderOptions(POOLS)
    assert options.read(fields(("X-Postjet-Expire", value)), NOW - 60).expire == when


@pytest.mark.parametrize("value", ["", "0", "500ms", "soon", "-1", "1800000001", "2027-01-15T08:00:00Z", "1y"])
def test_bad_expire(value: str) -> None:
    assert refusal(("X-Postjet-Expire", value)).startswith(f"550 5.6.0 X-Postjet-Expire: {value!r} must be ")


def test_no_webhook_is_configured() -> None:
    assert refusal(("X-Postjet-Webhook", "crm")) == (
        "550 5.6.0 X-Postjet-Webhook: 'crm' is no webhook here; none is configured, remove the field"
    )


def test_a_webhook_is_named() -> None:
    options = HeaderOptions(POOLS, webhooks=("crm", "shop"))
    assert options.read(fields(("X-Postjet-Webhook", "crm")), NOW).webhook == "crm"
    with pytest.raises(RefusedError) as refused:
        options.read(fields(("X-Postjet-Webhook", "https://a.example/")), NOW)
    assert str(refused.value.reply) == (
        "550 5.6.0 X-Postjet-Webhook: 'https://a.example/' is no webhook here; there are crm, shop"
    )


def test_options_count_only_where_there_are_pools() -> None:
    options = HeaderOptions()
    found = options.among(fields(("X-Postjet-Hue", "red"), ("Subject", "x"), ("X-Job", "x")))
    assert [field.name for field in found] == ["x-postjet-hue"]
    assert options.read(found, NOW) == NOTHING


MORE = ("X-Postjet-Pool", "X-Postjet-Tag", "X-Postjet-Meta-a", "X-Postjet-Meta-b", "X-Postjet-Hue",
        "X-Postjet-Notify", "X-Postjet-Expire", "X-Postjet-Ret", "X-Postjet-Envid", "X-Postjet-Webhook")  # fmt: skip
VALUES = st.text(alphabet="0123456789-+:.TZ zté\0", max_size=30) | st.text(max_size=20)


@given(st.lists(st.tuples(st.sampled_from([*NAMES, *MORE]), VALUES), max_size=4))
def test_options_or_a_refusal(given: list[tuple[str, str]]) -> None:
    try:
        options = read(*given)
    except RefusedError as error:
        assert error.reply.code == 550
        return
    at = options.due(NOW)
    texts = (*(options.tags or ()), *(options.meta or {}).values(), options.envid or "")
    assert all(text.isascii() and text.isprintable() for text in texts)
    assert 0 <= (options.priority or 0) <= 9
    assert not options.expire or NOW + 1 <= options.expire.after(NOW) <= NOW + MAX_AHEAD
    assert at == 0 or NOW + 1 <= at <= NOW + MAX_AHEAD
