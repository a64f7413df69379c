"""Rules that can never match, or that contradict one another, are named."""

from pathlib import Path

import pytest

from common.config import Config
from common.config_file import load
from common.policies import check, reading


def found(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "postjet.toml"
    file.write_text(text)
    config, path = load(str(file), {})
    problems = check.problems(reading.shipped() + reading.of_config(config, path), config)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in problems]


def test_nothing_is_wrong_without_rules() -> None:
    assert check.problems(reading.shipped() + reading.of_config(Config(), None), Config()) == []


PROVIDER = "[[providers]]\nname = 'p'\nmx = '*.p.example'\n"
REPLY = "[[replies]]\nname = 'a'\nprovider = 'google'\ntext = 'busy'\naction = 'suspend'\nfor = '1h'\n"


@pytest.mark.parametrize(
    "text",
    [
        PROVIDER + "samples = ['mx.p.example']\nnot_samples = 'p.example'\n",
        "[[providers]]\nname = 'p'\ndomain = ['p.example']\nsamples = ['p.example']\n",
        PROVIDER + "[[providers]]\nname = 'q'\nmx = '*.example'\n",  # the wide one behind the narrow
        "[[providers]]\nname = 'mine'\nmx = '*.l.google.com'\n",  # which takes some of Google's
        "[[policies]]\ndomain = '*.a.example'\nconnections = 1\nsamples = 'b.a.example'\nnot_samples = ['a.example']",
        "[[policies]]\nprovider = 'google'\nrate = '1/s'\nsamples = 'aspmx.l.google.com'\nnot_samples = 'mx.a.example'",
        "[[policies]]\ndomain = 'a.example'\nconnections = 1\n[[policies]]\ndomain = 'a.example'\nrate = '1/s'",
        "[[policies]]\npool = 'default'\nconnections = 5",
        REPLY + "samples = '421 Busy'\nnot_samples = '421 Idle'\n",
        REPLY + REPLY.replace("'a'", "'b'"),  # twice the same
        REPLY + REPLY.replace("'a'", "'b'").replace("suspend'\nfor = '1h'", "temporary'") + "samples = '550 busy'",
        REPLY + "samples = '421 Busy'\n" + REPLY.replace("'a'", "'b'").replace("google", "yahoo").replace("1h", "2h"),
        "[[replies]]\nname = 'yahoo-volume'\naction = 'none'",
        "[[replies]]\nname = 'a'\ntext = '\\d+\\.'\naction = 'permanent'",
    ],
)
def test_what_is_right(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[[providers]]\nname = 'wide'\nmx = '*.example'\n" + PROVIDER,
            "postjet.toml:4: provider p: mx '*.p.example' never matches:"
            " '*.example' of provider wide (postjet.toml:1) comes before it",
        ),
        (PROVIDER + "samples = ['mx.q.example']", "postjet.toml:1: provider p: sample 'mx.q.example' is not matched"),
        (
            PROVIDER + "samples = ['aspmx.l.google.com']",
            "postjet.toml:1: provider p: sample 'aspmx.l.google.com' is taken by provider google",
        ),
        (
            PROVIDER + "not_samples = ['mx.p.example']",
            "postjet.toml:1: provider p: 'mx.p.example' is matched, though not_samples has it",
        ),
        (
            "[[providers]]\nname = 'mine'\nmx = '*.com'\n",
            "provider google: mx '*.google.com' never matches:"
            " '*.com' of provider mine (postjet.toml:1) comes before it",
        ),
        (
            PROVIDER + PROVIDER.replace("*.p", "*.q"),
            "postjet.toml:4: provider p: has the name of the one at postjet.toml:1; choose another",
        ),
        (
            "[[policies]]\npool = 'bulk'\nconnections = 5",
            "postjet.toml:1: policy for pool bulk: never matches:"
            " 'bulk' is no pool of the configuration; there are default",
        ),
        (
            "[[policies]]\nsource = '192.0.2.1'\nconnections = 5",
            "postjet.toml:1: policy for source 192.0.2.1: never matches: no pool has the source address 192.0.2.1",
        ),
        (
            "[[policies]]\ndomain = ['a.example', 'b.example']\nconnections = 1\nsamples = 'c.example'",
            "postjet.toml:1: policy for domain a.example, b.example: sample 'c.example' is not matched",
        ),
        (
            "[[policies]]\nmx = '*'\nconnections = 1\nnot_samples = 'c.example'",
            "postjet.toml:1: policy for mx *: 'c.example' is matched, though not_samples has it",
        ),
        (
            "[[policies]]\nprovider = 'google'\nconnections = 1\nsamples = 'c.example'",
            "postjet.toml:1: policy for provider google: sample 'c.example' is not matched",
        ),
        (
            "[[policies]]\nconnections = 1\n[[policies]]\nconnections = 2",
            "postjet.toml:3: policy for all: sets connections for the same mail as the rule at postjet.toml:1;"
            " write it once",
        ),
        (REPLY + "samples = '421 Idle'", "postjet.toml:1: reply a: sample '421 Idle' is not matched"),
        (REPLY + "samples = 'Busy'", "postjet.toml:1: reply a: sample 'Busy' is no reply; write it as it came"),
        (REPLY + "not_samples = 'Busy'", "postjet.toml:1: reply a: sample 'Busy' is no reply; write it as it came"),
        (REPLY + "not_samples = '421 busy'", "reply a: '421 busy' is matched, though not_samples has it"),
        (
            REPLY + "samples = '421 busy'\n" + REPLY.replace("'a'", "'b'").replace("1h", "2h"),
            "postjet.toml:8: reply b: '421 busy' matches it and reply a (postjet.toml:1), which does something else",
        ),
        (
            REPLY.replace("'a'", "'b'").replace("1h", "2h") + REPLY + "samples = '421 busy'\n",
            "postjet.toml:7: reply a: '421 busy' matches it and reply b (postjet.toml:1), which does something else",
        ),
        (
            REPLY + "code = '4xx'\nenhanced = '5.7.1'",
            "postjet.toml:1: reply a: never matches: code and enhanced begin with different digits",
        ),
        (REPLY + REPLY, "postjet.toml:7: reply a: has the name of the one at postjet.toml:1; choose another"),
        (
            "[[replies]]\nname = 'a'\ntext = '\\\\[HM1\\\\]'\naction = 'permanent'",
            "postjet.toml:1: reply a: text '\\\\[HM1\\\\]' asks for a backslash, which replies do not hold;"
            " write one, not two, within '…'",
        ),
        (
            "[[replies]]\nname = 'zzz'\naction = 'none'",
            "postjet.toml:1: reply zzz: switches nothing off: no shipped rule has that name",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    lines = found(tmp_path, text)
    assert [line for line in lines if said in line], lines
