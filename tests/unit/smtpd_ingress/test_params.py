import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import xtext
from common.codes import BAD_RECIPIENT, BAD_SENDER
from common.options import MAX_AHEAD, When
from smtpd_ingress.params import (
    MAIL,
    RCPT,
    MailParameters,
    RcptParameters,
    mail_parameters,
    path_address,
    path_in,
    rcpt_parameters,
    split_argument,
)
from smtpd_ingress.rejection import RefusedError

NOW = 1_800_000_000.0


def mail(text: str, *, future_release: bool = True) -> MailParameters:
    return mail_parameters(split_argument("FROM", f"FROM:<>{text}")[1], NOW, future_release=future_release)


def rcpt(text: str, *, smtputf8: bool = False) -> RcptParameters:
    return rcpt_parameters(split_argument("TO", f"TO:<b@example.com> {text}")[1], smtputf8=smtputf8)


def refusal(text: str, keyword: str = "FROM") -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        mail_parameters(split_argument(keyword, text)[1], NOW, future_release=True)
    return caught.value.reply[:2]


@pytest.mark.parametrize(
    ("text", "size", "eightbit"),
    [
        ("", 0, False),
        (" SIZE=10", 10, False),
        (" body=8bitmime size=00012", 12, True),
        ("  BODY=7BIT  SIZE=99999999999999999999", 99999999999999999999, False),
    ],
)
def test_size_and_body(text: str, size: int, eightbit: bool) -> None:
    assert mail(text) == MailParameters(size, eightbit)


@pytest.mark.parametrize(
    "text",
    ["", "FROM", "FROM:", "TO:<a@example.org>", "FROM:a@example.org", "FROM:<a@example.org",
     "FROM:<a@example.org>SIZE=1", "FROM:<a@example.org> SIZE=", "FROM:<a@example.org> SIZE=1 size=2",
     "FROM:<a@example.org> SIZE", "FROM:<> SIZE=1x", "FROM:<> SIZE=100000000000000000000", "FROM:<> SIZE=１",
     "FROM:<> BODY=BINARYMIME", "FROM:<> BODY", "FROM:<> =x", "FROM:<> A=b=c", "FROM:<> é", "FROM:<> RET",
     "FROM:<> RET=full,hdrs", "FROM:<> ENVID", "FROM:<> ENVID=a+0D+0A", "FROM:<> ENVID=a+C3+A9", "FROM:<> ENVID=é",
     "FROM:<> SMTPUTF8=1", "FROM:<> AUTH", "FROM:<> AUTH=a+3d", "FROM:<> HOLDFOR", "FROM:<> HOLDFOR=-1",
     "FROM:<> HOLDUNTIL=20270115T080000Z", "FROM:<> HOLDFOR=1 HOLDUNTIL=2027-01-16T08:00:00Z",
     "FROM:<> MT-PRIORITY", "FROM:<> MT-PRIORITY=-0", "FROM:<> MT-PRIORITY=03", "FROM:<> MT-PRIORITY=10",
     "FROM:<> BY=1", "FROM:<> BY=1;", "FROM:<> BY=1;T", "FROM:<> BY=1;NR", "FROM:<> BY=1234567890;N", "FROM:<> BY=;N",
     "FROM:<> BY=-5;R"],
)  # fmt: skip
def test_bad_syntax(text: str) -> None:
    assert refusal(text) == (501, "5.5.4")


@pytest.mark.parametrize("text", ["COLOUR", "NOTIFY=NEVER", "SIZE=1 REQUIRETLS", "X=y", "BY=60;R", "by=+60;rt"])
def test_what_is_not_served(text: str) -> None:
    assert refusal(f"FROM:<> {text}") == (555, "5.5.4")


def test_dsn_parameters_are_kept_as_they_came() -> None:
    assert mail(" RET=full ENVID=QQ+2B314").options.ret == "FULL"
    assert mail(" ENVID=QQ+2B314").options.envid == "QQ+2B314"
    assert mail(f" ENVID={'x' * 100}").options.envid == "x" * 100
    assert refusal(f"FROM:<> ENVID={'x' * 101}") == (501, "5.5.4")
    assert rcpt("NOTIFY=never") == RcptParameters(notify="NEVER")
    assert rcpt("NOTIFY=Delay,SUCCESS ORCPT=rfc822;A+2Bb@C.example") == RcptParameters(
        "DELAY,SUCCESS", "rfc822;A+2Bb@C.example"
    )
    longest = f"rfc822;{'x' * 493}"
    assert rcpt(f"ORCPT={longest}").orcpt == longest


@pytest.mark.parametrize(
    "text",
    ["NOTIFY", "NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=DELAY,DELAY", "NOTIFY=,DELAY", "NOTIFY=ALWAYS", "ORCPT",
     "ORCPT=rfc822", "ORCPT=rfc822;", "ORCPT=;x", "ORCPT=rfc822;a+4", "ORCPT=rfc 822;x", "ORCPT=rfc822;a+0A",
     f"ORCPT=rfc822;{'x' * 494}", "ORCPT=utf-8;\\x{}", "ORCPT=utf-8;a+2B", "ORCPT=utf-8;é@x", "ORCPT=ſ;x"],
)  # fmt: skip
def test_bad_syntax_of_rcpt(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        rcpt(text)
    assert caught.value.reply[:2] == (501, "5.5.4")


def test_an_original_recipient_in_utf_8_is_kept_in_ascii() -> None:
    assert rcpt("ORCPT=utf-8;j\\x{FC}rgen@x", smtputf8=True).orcpt == "utf-8;j\\x{FC}rgen@x"
    assert rcpt("ORCPT=UTF-8;jürgen@例え", smtputf8=True).orcpt == "UTF-8;j\\x{FC}rgen@\\x{4F8B}\\x{3048}"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=33))
def test_envid_of_any_text(text: str) -> None:
    value = xtext.encode(text.encode())
    assert mail(f" ENVID={value}").options.envid == value


@given(st.integers(1, MAX_AHEAD))
def test_hold_for(seconds: int) -> None:
    said = mail(f" HOLDFOR={seconds}")
    assert (said.future_release, said.options.later) == (f"for;{seconds}", When(delay=seconds))


def test_hold_until() -> None:
    said = mail(" HOLDUNTIL=2027-01-16T09:00:00+01:00")
    assert said.future_release == "until;2027-01-16T09:00:00+01:00"
    assert said.options.later == When(at=NOW + 86_400)
    assert refusal("FROM:<> HOLDUNTIL=2027-01-15T08:00:00Z") == (554, "5.5.4")
    assert refusal("FROM:<> HOLDUNTIL=2028-01-17T08:00:00Z") == (554, "5.5.4")
    assert refusal(f"FROM:<> HOLDFOR={MAX_AHEAD + 1}") == (554, "5.5.4")


@pytest.mark.parametrize("text", [" HOLDFOR=60", " HOLDUNTIL=2027-01-16T08:00:00Z", " HOLDFOR=x"])
def test_future_release_is_unknown_where_it_is_not_offered(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        mail(text, future_release=False)
    assert caught.value.reply[:2] == (555, "5.5.4")


@given(st.integers(-9, 9))
def test_priority(value: int) -> None:
    assert mail(f" MT-PRIORITY={value}").mt_priority == value


@pytest.mark.parametrize(
    ("value", "seconds"), [("120;N", 120), ("+120;nt", 120), ("-120;N", 0), ("0;NT", 0), ("999999999;N", 999_999_999)]
)
def test_deliver_by(value: str, seconds: int) -> None:
    assert mail(f" BY={value}").deliver_by == seconds


@pytest.mark.parametrize("value", ["<>", "a@example.com", "e+3Dmc2@example.com"])
def test_auth_is_checked_and_not_used(value: str) -> None:
    assert mail(f" AUTH={value}") == MailParameters()


def test_addresses_are_refused_with_the_code_of_their_direction() -> None:
    for reply in (BAD_SENDER, BAD_RECIPIENT):
        with pytest.raises(RefusedError) as caught:
            path_address("<a@b..c>", reply)
        assert caught.value.reply[:2] == reply[:2]


@pytest.mark.parametrize("path", ["<é@example.org>", "<a@bücher.example>"])
def test_addresses_that_are_not_ascii_need_smtputf8(path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        path_address(path, BAD_SENDER)
    assert caught.value.reply[:2] == (553, "5.6.7")
    address = path_address(path, BAD_SENDER, smtputf8=True)
    assert address
    assert address.domain.isascii()


@pytest.mark.parametrize(
    ("text", "address"),
    [("FROM:<a@b> AUTH=<>", "a@b"), ('TO:<"a>b"@c>', '"a>b"@c'), ("FROM:<>", ""), ("FROM:a@b", ""), ("<", "")],
)
def test_path_in(text: str, address: str) -> None:
    assert path_in(text) == address


VALUE = st.one_of(
    st.text(alphabet="0123456789+-;:TZNRabcé=<>\\{}", max_size=12),
    st.sampled_from(["8BITMIME", "<>", "FULL", "NEVER", "DELAY,SUCCESS", "rfc822;a@b", "5;N", "2027-01-16T08:00:00Z"]),
)
WORD = st.one_of(
    st.tuples(st.sampled_from([*MAIL, *RCPT, "X-Y"]), VALUE).map("=".join),
    st.sampled_from([*MAIL, *RCPT]),
    st.text(max_size=8),
)


@given(st.lists(WORD, max_size=4), st.booleans())
def test_parameters_are_understood_or_refused(words: list[str], flag: bool) -> None:
    for parse in (lambda text: mail(f" {text}", future_release=flag), lambda text: rcpt(text, smtputf8=flag)):
        try:
            said = parse(" ".join(words))
        except RefusedError as error:
            assert error.reply.code in (501, 554, 555)
            assert error.reply.enhanced == "5.5.4"
            continue
        if isinstance(said, RcptParameters):
            assert re.fullmatch(r"([a-zA-Z0-9-]+;[!-~]+)?", said.orcpt)
            assert len(said.orcpt) <= 500
            events = said.notify.split(",")
            assert events in ([""], ["NEVER"]) or set(events) <= {"SUCCESS", "FAILURE", "DELAY"}
            assert len(set(events)) == len(events)
        elif said.options.later:
            assert NOW < said.options.later.after(NOW) <= NOW + MAX_AHEAD


@given(st.text(alphabet='FROM: <>"\\@ab.=é\0-', max_size=60))
def test_parses_or_refuses(text: str) -> None:
    try:
        path, parameters = split_argument("FROM", text)
        mail_parameters(parameters, NOW)
    except RefusedError:
        return
    assert path.startswith("<")
    assert path.endswith(">")


@pytest.mark.parametrize("text", ["<" * 1_000_000, '<"\\"' * 250_000])
def test_a_hostile_argument_is_looked_through_once(text: str) -> None:
    """Quadratic work would not end within the test's time."""
    assert path_in(text) == ""
