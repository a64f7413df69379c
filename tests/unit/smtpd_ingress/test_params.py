import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.codes import BAD_RECIPIENT, BAD_SENDER
from smtpd_ingress.params import mail_parameters, path_address, split_argument
from smtpd_ingress.rejection import RefusedError


def refusal(text: str, keyword: str = "FROM") -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        mail_parameters(split_argument(keyword, text)[1])
    return caught.value.reply[:2]


@pytest.mark.parametrize(
    ("text", "size", "eightbit"),
    [
        ("FROM:<a@example.org>", 0, False),
        ("from:<> SIZE=10", 10, False),
        ("FROM:<a@example.org> body=8bitmime size=00012", 12, True),
        ("FROM:<a@example.org>  BODY=7BIT  SIZE=99999999999999999999", 99999999999999999999, False),
        ('FROM: <"a> b"@example.org> SIZE=1', 1, False),
    ],
)
def test_parameters(text: str, size: int, eightbit: bool) -> None:
    _, parameters = split_argument("FROM", text)
    assert mail_parameters(parameters) == (size, eightbit)


@pytest.mark.parametrize(
    "text",
    ["", "FROM", "FROM:", "TO:<a@example.org>", "FROM:a@example.org", "FROM:<a@example.org",
     "FROM:<a@example.org>SIZE=1", "FROM:<a@example.org> SIZE=", "FROM:<a@example.org> SIZE=1 size=2",
     "FROM:<a@example.org> SIZE", "FROM:<> SIZE=1x", "FROM:<> SIZE=100000000000000000000",
     "FROM:<> BODY=BINARYMIME", "FROM:<> BODY", "FROM:<> =x", "FROM:<> A=b=c", "FROM:<> é"],
)  # fmt: skip
def test_bad_syntax(text: str) -> None:
    assert refusal(text) == (501, "5.5.4")


@pytest.mark.parametrize("text", ["RET=FULL", "SMTPUTF8", "SIZE=1 MT-PRIORITY=3", "AUTH=<>"])
def test_unknown_parameters(text: str) -> None:
    assert refusal(f"FROM:<> {text}") == (555, "5.5.4")


def test_addresses_are_refused_with_the_code_of_their_direction() -> None:
    for reply in (BAD_SENDER, BAD_RECIPIENT):
        with pytest.raises(RefusedError) as caught:
            path_address("<a@b..c>", reply)
        assert caught.value.reply[:2] == reply[:2]
    with pytest.raises(RefusedError) as caught:
        path_address("<é@example.org>", BAD_SENDER)
    assert caught.value.reply[:2] == (553, "5.6.7")


@given(st.text(alphabet='FROM: <>"\\@ab.=é\0-', max_size=60))
def test_parses_or_refuses(text: str) -> None:
    try:
        path, parameters = split_argument("FROM", text)
        mail_parameters(parameters)
    except RefusedError:
        return
    assert path.startswith("<")
    assert path.endswith(">")
