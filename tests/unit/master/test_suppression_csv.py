"""Lists of suppressions: what is written is read, what others write too, what is wrong is told by its line."""

import contextlib
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UsageError
from common.suppression.suppression import Source, Suppression
from master.suppression_csv import Defaults, Refused, Writer, cells, read

DEFAULTS = Defaults("@s.example", Source.MANUAL, "imported", "me@here")

SUPPRESSIONS = st.builds(
    Suppression,
    recipient=st.sampled_from(["a@x.example", "jörg@y.example", '"a b"@x.example', "a@[192.0.2.1]"]),
    scope=st.sampled_from(["*", "@s.example", "n@s.example"]),
    source=st.sampled_from([source for source in Source if source is not Source.COUNTED]),
    reason=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).map(str.strip).filter(bool),
    since=st.integers(1, 2_000_000_000).map(float),
    until=st.sampled_from([0.0, 1_900_000_000.0]),
    by=st.sampled_from(["me@here", "01k804kgf54oikkgd218-1"]),
)


def listed(text: str, defaults: Defaults = DEFAULTS) -> list[Suppression | Refused]:
    return list(read(io.StringIO(text, newline=""), defaults))


@given(st.lists(SUPPRESSIONS))
def test_what_is_written_is_read(suppressions: list[Suppression]) -> None:
    file = io.StringIO(newline="")
    writer = Writer(file)
    for one in suppressions:
        writer.write(one)
    assert writer.count == len(suppressions)
    assert listed(file.getvalue(), Defaults("*", Source.BOUNCE, "", "")) == suppressions


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    with contextlib.suppress(UsageError):
        listed(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("email,created\r\nBob@X.example,1763800000\r\n", ("bob@x.example", "manual", "imported", 1_763_800_000.0)),
        ("Bob@x.example\n", ("bob@x.example", "manual", "imported", None)),
        (
            "EmailAddress,SuppressionReason,Origin,CreatedAt\nbob@x.example,HardBounce,Recipient,2026-11-01T00:00:00Z\n",
            ("bob@x.example", "bounce", "imported", 1_793_491_200.0),
        ),
        (
            "status,reason,email,created\n5.1.1,550 5.1.1 No such user,bob@x.example,1763800000\n",
            ("bob@x.example", "manual", "550 5.1.1 No such user", 1_763_800_000.0),
        ),
        ("address,type,error\nbob@x.example,unsubscribes,\n", ("bob@x.example", "unsubscribe", "imported", None)),
        ("email,source\nbob@x.example,Spam Report\n", ("bob@x.example", "complaint", "imported", None)),
        ("email,source\nbob@x.example,from the old system\n", ("bob@x.example", "manual", "from the old system", None)),
        ("recipient,sender\nbob@x.example,News@s.example\n", ("bob@x.example", "manual", "imported", None)),
    ],
)
def test_lists_of_others(text: str, expected: tuple[str, str, str, float | None]) -> None:
    [one] = listed(text)
    assert isinstance(one, Suppression)
    recipient, source, reason, since = expected
    assert (one.recipient, one.source, one.reason) == (recipient, source, reason)
    assert since is None or one.since == since
    assert one.scope == ("news@s.example" if "sender" in text else "@s.example")


def test_what_is_wrong_is_told_with_its_line() -> None:
    found = listed("email,until\n\na@x.example,\nnobody,\nb@x.example,soon\nc@x.example,2030-01-01\n")
    assert [type(one) for one in found] == [Suppression, Refused, Refused, Suppression]
    assert found[1] == Refused(4, "'nobody': no domain")
    assert "'soon' is no time" in str(found[2])


@pytest.mark.parametrize("text", ["name,age\nbob,7\n", "id;email\n1;bob\n"])
def test_a_list_without_addresses_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no column of addresses"):
        listed(text)


@pytest.mark.parametrize("column", ["since", "until"])
@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e300", "-5", "1900-01-01", "0001-01-01", "1795312800000"])
def test_times_that_nobody_can_hold_are_none(column: str, time: str) -> None:
    [refused] = listed(f"email,{column}\na@x.example,{time}\n")
    assert "is no time since 1970" in str(refused)


def test_the_last_time_can_be_written() -> None:
    [one] = listed("email,until\na@x.example,9999-12-31T23:59:59Z\n")
    assert isinstance(one, Suppression)
    assert cells(one)["until"] == "9999-12-31T23:59:59.000Z"
    assert cells(replace(one, until=1e15))["until"] == "9999-12-31T23:59:59.000Z"
