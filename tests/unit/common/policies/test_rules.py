"""What a rule may say; every mistake is named with file, line and remedy."""

from pathlib import Path

import pytest

from common.config import Config
from common.config_file import load
from common.errors import ConfigError
from common.policies.policies import Policies


def refused(tmp_path: Path, text: str) -> str:
    """What is said of a configuration, without its folder."""
    file = tmp_path / "postjet.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        Policies.load(*load(str(file), {}))
    return str(error.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("domain = 'a.example'", "connections: the rule sets nothing; add this or another value, or remove the rule"),
        ("conections = 5", "unknown key policies[1].conections; did you mean policies[1].connections?"),
        ("zzz = 5\nconnections = 5", "unknown key policies[1].zzz; see 'postjet config reference'"),
        ("connections = 0", "connections: Input should be greater than or equal to 1"),
        ("connections = '5'", "connections: Input should be a valid integer"),
        ("rate = '20 per s'", "'20 per s' is no rate; write a whole number above 0 and s, m, h or d, such as 20/s"),
        ("rate = ['20/s', '0/h']", "'0/h' is no rate"),
        ("connection_rate = 5", "5 is no rate"),
        ("connect_timeout = 'soon'", "'soon' is no duration"),
        ("connect_timeout = '0s'", "connect_timeout: 1s is the least"),
        ("retry_first = 0", "retry_first: 1s is the least"),
        ("retry = ['5m', 0]", "retry: 1s is the least"),
        ("retry_first = '2h'\nretry_max = '1h'", "retry_first: longer than retry_max"),
        ("retry = ['5m']\nretry_max = '1h'", "retry: a list of delays or the curve"),
        ("retry_factor = 0.5", "retry_factor: "),
        ("tls = 'dane'", "tls: Input should be 'none', 'opportunistic' or 'required'"),
        ("ip_family = 'ipv5'", "ip_family: Input should be 'both', 'ipv4' or 'ipv6'"),
        ("mx = '*.a.example.'\nconnections = 5", "'*.a.example.' ends in a dot"),
        ("source = 'here'\nconnections = 5", "source: 'here' does not appear to be an IPv4 or IPv6 address"),
        ("provider = 'gogle'\nconnections = 5", "provider: 'gogle' is no provider; did you mean 'google'?"),
        ("provider = '0'\nconnections = 5", "'0' is no provider; there are "),
    ],
)
def test_a_policy_that_cannot_be(tmp_path: Path, rule: str, said: str) -> None:
    message = refused(tmp_path, f"[[policies]]\nconnections = 1\n\n[[policies]]\n{rule}\n")
    assert message.startswith("postjet.toml:4: ")
    assert said in message


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("name = 'a'", "providers[0].mx: without mx or domain a provider matches nothing; add one of them"),
        ("name = 'A b'\nmx = 'a.example'", "providers[0].name: 'A b' is no name for a rule; use lower-case letters"),
        ("mx = 'a.example'", "providers[0].name: Field required"),
        ("name = 'a'\nmx = '.a.example'", "begins with a dot and would match nothing; write '*.a.example'"),
    ],
)
def test_a_provider_that_cannot_be(tmp_path: Path, rule: str, said: str) -> None:
    message = refused(tmp_path, f"\n[[providers]]\n{rule}")
    assert message.startswith("postjet.toml:2: ")
    assert said in message


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("text = 'x'", "action: Field required"),
        ("action = 'suspend'\nfor = '1h'", "text: without code, enhanced and text the rule would match every reply"),
        ("action = 'suspend'\ntext = 'x'", "for: how long suspend lasts is missing; add such as for = '30m'"),
        ("action = 'pause'\ntext = 'x'", "action: Input should be 'suspend', 'rate'"),
        ("action = 'suspend'\ntext = '('\nfor = '1h'", "'(' is no regular expression: "),
        ("action = 'suspend'\ncode = 250\nfor = '1h'", "'250' is no code of a refusal; write such as 421, or 4xx"),
        ("action = 'suspend'\nenhanced = '4.7'\nfor = '1h'", "'4.7' is no enhanced status code; write such as 4.7.650"),
        ("action = 'suspend'\ntext = 'x'\nfor = '1h'\ntrigger = 'often'", "'often' is no trigger; write at once, or"),
        ("action = 'suspend'\ntext = 'x'\nfor = '1h'\nvalue = 1", "value: suspend has none; remove the line"),
        ("action = 'suspend'\ntext = 'x'\nfor = '1h'\nscope = 'provider'", "scope: a rule without provider has none"),
        ("action = 'suspend'\ntext = 'x'\nfro = '1h'", "unknown key replies[0].fro; did you mean replies[0].for?"),
        ("action = 'suspend'\ntext = 'x'\nfor_ = '1h'", "unknown key replies[0].for_; did you mean replies[0].for?"),
        ("action = 'rate'\ntext = 'x'\nfor = '1h'", "value: None is no rate"),
        ("action = 'connections'\ntext = 'x'\nfor = '1h'\nvalue = '1'", "value: '1' is no number of connections"),
        ("action = 'retry'\ntext = 'x'\nvalue = 'soon'", "value: 'soon' is no duration"),
        ("action = 'permanent'\ntext = 'x'\nvalue = 1", "value: permanent has none"),
        ("action = 'permanent'\ntext = 'x'\nfor = '1h'", "for: permanent is of one delivery, at once; remove the line"),
        ("action = 'temporary'\ntext = 'x'\ntrigger = '2/h'", "trigger: temporary is of one delivery, at once"),
        ("action = 'suspend'\ntext = 'x'\nfor = '1h'\nprovider = 'yaho'", "is no provider; did you mean 'yahoo'?"),
    ],
)
def test_a_reply_rule_that_cannot_be(tmp_path: Path, rule: str, said: str) -> None:
    message = refused(tmp_path, f"# mine\n[[replies]]\nname = 'a'\n{rule}\n")
    assert message.startswith("postjet.toml:2: ")
    assert said in message


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    said = refused(tmp_path, "[[policies]]\nconnections = 0\n[[policies]]\nrate = 'x'\n").splitlines()
    assert [line.partition(" ")[0] for line in said] == ["postjet.toml:1:", "postjet.toml:3:"]


def test_one_value_or_several() -> None:
    one, several = Config.model_validate(
        {"policies": [{"mx": "A.example", "rate": "5/s"}, {"mx": ["a.example"], "rate": ["5/s"], "retry": "5m"}]}
    ).policies
    assert (one.mx, one.rate) == (several.mx, several.rate)
    assert several.retry == (300,)
