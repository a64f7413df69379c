import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.options import Options, When
from smtpd_ingress.compatible import PRODUCTS
from smtpd_ingress.headers import Field
from smtpd_ingress.options import HeaderOptions
from smtpd_ingress.rejection import RefusedError

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def read(*given: tuple[str, str], products: tuple[str, ...] = tuple(PRODUCTS)) -> Options:
    fields = [Field(name.lower(), f"{name}: {value}\r\n".encode()) for name, value in given]
    options = HeaderOptions(("default", "bulk"), products)
    return options.read(options.among(fields), NOW)


def refusal(*given: tuple[str, str]) -> str:
    with pytest.raises(RefusedError) as refused:
        read(*given)
    return str(refused.value.reply)


def test_powermta() -> None:
    options = read(("X-Virtual-MTA", "bulk"), ("X-Job", "j 1"), ("X-Envid", "a=b"))
    assert options == Options(pool="bulk", tags=("j 1",), envid="a+3Db")


def test_mailerq() -> None:
    options = read(
        ("X-MQ-Pool", "bulk"), ("X-MQ-Tag", "a"), ("X-MQ-Tags", "b"), ("X-MQ-Delayed", "2027-01-16 08:00:00"),
        ("X-MQ-MaxDeliverTime", "2027-01-17 08:00:00"), ("X-MQ-DSN-Notify", "success,failure"),
        ("X-MQ-DSN-Ret", "HDRS"), ("X-MQ-DSN-Envid", "e"), ("X-MQ-Customer", "7"),
    )  # fmt: skip
    assert options == Options(
        pool="bulk", tags=("a", "b"), later=When(at=NOW + 86_400), expire=When(at=NOW + 2 * 86_400),
        notify="SUCCESS,FAILURE", ret="HDRS", envid="e", meta={"customer": "7"},
    )  # fmt: skip


def test_our_own_fields_go_over_theirs() -> None:
    options = read(("X-Job", "theirs"), ("X-Postjet-Tag", "ours"), ("X-MQ-Pool", "bulk"), ("X-MQ-a", "1"))
    assert options == Options(tags=("ours",), pool="bulk", meta={"a": "1"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("X-Virtual-MTA", "v", "X-Virtual-MTA: 'v' is no pool here; there are default, bulk"),
        ("X-MQ-IP", "192.0.2.1", "X-MQ-IP: not served here; remove the field"),
        ("x-mq-dsn-notify", "X", "x-mq-dsn-notify: 'X' must be NEVER, or some of SUCCESS,FAILURE,DELAY, each once"),
        ("X-MQ-Delayed", "soon", "X-MQ-Delayed: 'soon' must be a time such as"),
        ("X-MQ-MaxDeliverTime", "2027-01-15 08:00:00", "must be 1 second to a year ahead"),
        ("X-MQ-No.Key", "x", "X-MQ-No.Key: no such key"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_it_was_given(name: str, value: str, said: str) -> None:
    assert said in refusal((name, value))


def test_only_what_is_switched_on_is_taken() -> None:
    fields = [("X-Job", "a"), ("X-MQ-Tag", "b"), ("X-Job-Id", "c")]
    assert read(*fields, products=()) == Options()
    assert read(*fields, products=("powermta",)).tags == ("a",)
    names = [Field(name.lower(), b"") for name, _ in fields]
    assert [field.name for field in HeaderOptions((), ("powermta",)).among(names)] == ["x-job"]
    assert [field.name for field in HeaderOptions((), ("mailerq",)).among(names)] == ["x-mq-tag"]


FIELDS = [name for product in PRODUCTS.values() for name in (*product.fields, *product.unserved)]


@given(st.lists(st.tuples(st.sampled_from([*FIELDS, "x-mq-a", "x-mq-"]), st.text(max_size=22)), max_size=4))
def test_options_or_a_refusal(given: list[tuple[str, str]]) -> None:
    try:
        options = read(*given)
    except RefusedError as error:
        assert error.reply.code == 550
        return
    assert options.pool in (None, "default", "bulk")
