"""``postjet report``: what it says without asking anybody."""

import os

import pytest

from events import report
from master import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of ``postjet report``."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", *arguments])
    assert ended.value.code is None or isinstance(ended.value.code, int)
    return ended.value.code or 0, *capsys.readouterr()


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys)
    assert code == 0
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        [known.name, known.title] for known in report.reports().values()
    ]


def test_what_a_report_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    for known in report.reports().values():
        code, out, _ = run(capsys, known.name, "--about")
        assert code == 0
        assert out.startswith(f"{known.name}: {known.title}")
        assert all(meaning in out for meaning in known.columns.values())
        assert known.notes in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["outcome"], "'outcome' is no report; did you mean 'outcomes'?"),
        (["outcomes", "--by", "colour"], "outcomes has no --by colour; there are provider, "),
        (["outcomes", "--since", "soon"], "--since: 'soon' is no duration"),
        (["outcomes", "--json", "--csv"], "give one of them"),
        (["volume", "--step", "0s"], "--step: 0s is no time"),
        (["submissions", "--worker", "w"], "submissions cannot tell by worker; what narrows it down: pool, "),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, out, said = run(capsys, *arguments)
    assert (code, out, said.count("\n")) == (os.EX_USAGE, "", 1)
    assert words in said
