"""Which rules apply, under which key, and which value wins. Everything through files as operators write them."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import Config
from common.config_file import load
from common.limits.limit import Limit, What
from common.policies import reading
from common.policies.outcome import Outcome
from common.policies.policies import Policies
from common.policies.policy import Policy
from common.policies.reading import Layer, Rules, Written
from common.policies.rules import PolicyRule

GOOGLE = ["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"]


def policy_of(
    tmp_path: Path, text: str, domain: str = "a.example", *, hosts: list[str] | None = None,
    pool: str = "default", source: str = "",
) -> Policy:  # fmt: skip
    file = tmp_path / "postjet.toml"
    file.write_text(text)
    hosts = hosts or [f"mx.{domain}"]
    return Policies.load(*load(str(file), {})).policy(domain, hosts, ",".join(hosts), pool, source)


def numbers(policy: Policy, what: What = What.CONNECTIONS) -> dict[str, int]:
    """Key to amount."""
    return {limit.key: limit.amount for limit in policy.limits if limit.what == what}


def test_without_rules_each_site_has_the_general_number(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "[delivery]\nconnections = 7\nexpire = '2d'")
    assert policy.limits == (Limit("site:mx.a.example", What.CONNECTIONS, 7, 0, "[delivery]"),)
    assert (policy.expire, policy.origins) == (172800, {"expire": "[delivery]"})
    assert Policies.load(Config(), None).policy("a.example", ["mx.a.example"], "s", "default") == Policy(
        limits=(Limit("site:s", What.CONNECTIONS, 20, 0, "[delivery]"),)
    )


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ("", "site:mx.a.example"),
        ("domain = 'a.example'", "domain:a.example"),
        ("domain = '*.example'", "domain:a.example"),
        ("domain = ['b.example', 'a.example']", "domain:a.example"),
        ("mx = '*.a.example'", "site:mx.a.example"),
        ("provider = 'p'", "provider:p"),
        ("provider = 'p'\nmx = '*'", "site:mx.a.example"),
        ("provider = 'p'\ndomain = '*'", "domain:a.example"),
        ("pool = 'default'", "pool:default"),
        ("source = '192.0.2.1'", "source:192.0.2.1"),
        ("source = '192.0.2.1'\nmx = '*'\npool = 'default'", "site:mx.a.example|source:192.0.2.1|pool:default"),
        ("provider = 'p'\nsource = '192.0.2.1'", "provider:p|source:192.0.2.1"),
    ],
)
def test_what_a_rule_names_is_what_it_limits(tmp_path: Path, rule: str, key: str) -> None:
    text = f"[[providers]]\nname = 'p'\nmx = '*.a.example'\n[[policies]]\n{rule}\nrate = ['5/s', '100/h']\n"
    policy = policy_of(tmp_path, text + "connection_rate = '9/m'\nconnections = 3", source="192.0.2.1")
    file = f"{tmp_path}/postjet.toml:4"
    assert [limit for limit in policy.limits if limit.origin == file] == [
        Limit(key, What.CONNECTIONS, 3, 0, file),
        Limit(key, What.MESSAGES, 5, 1, file),
        Limit(key, What.MESSAGES, 100, 3600, file),
        Limit(key, What.CONNECTS, 9, 60, file),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        "domain = 'b.example'", "domain = '*.a.example'", "mx = '*.b.example'", "pool = 'other'",
        "source = '192.0.2.2'", "provider = 'google'", "domain = 'a.example'\npool = 'other'",
    ],
)  # fmt: skip
def test_all_that_a_rule_names_must_be_so(tmp_path: Path, rule: str) -> None:
    policy = policy_of(tmp_path, f"[[policies]]\n{rule}\nconnections = 3\ntls = 'none'", source="192.0.2.1")
    assert numbers(policy) == {"site:mx.a.example": 20}
    assert policy.tls == "opportunistic"


def test_tls_may_be_required_of_all(tmp_path: Path) -> None:
    text = "[delivery]\ntls = 'required'\n[[policies]]\ndomain = 'b.example'\ntls = 'none'"
    assert policy_of(tmp_path, text).tls == "required"


def test_every_mx_host_must_match(tmp_path: Path) -> None:
    text = "[[policies]]\nmx = ['*.google.com', '*.a.example']\nconnections = 3"
    assert policy_of(tmp_path, text, hosts=["a.google.com", "mx.a.example"]).limits[0].amount == 3
    blended = policy_of(tmp_path, text, hosts=[*GOOGLE, "mx.else.example"])
    assert (blended.provider, blended.limits[0].amount) == ("", 20)
    assert policy_of(tmp_path, text, hosts=[host.upper() for host in GOOGLE]).provider == "google"


def test_all_limits_apply(tmp_path: Path) -> None:
    text = "[[policies]]\nprovider = 'google'\nrate = '20/s'\n[[policies]]\ndomain = 'gmail.com'\nconnections = 9"
    policy = policy_of(tmp_path, text, "gmail.com", hosts=GOOGLE)
    assert numbers(policy) == {f"site:{','.join(GOOGLE)}": 20, "provider:google": 5, "domain:gmail.com": 9}
    assert numbers(policy, What.MESSAGES) == {"provider:google": 20}


def test_an_operator_raises_a_shipped_number_by_the_same_matchers(tmp_path: Path) -> None:
    text = "[[policies]]\nprovider = 'google'\nconnections = 50\nmessages_per_connection = 200\ntls = 'none'"
    policy = policy_of(tmp_path, text, "gmail.com", hosts=GOOGLE)
    assert numbers(policy)["provider:google"] == 50
    assert (policy.messages_per_connection, policy.tls) == (200, "none")
    assert policy.origins == dict.fromkeys(("messages_per_connection", "tls"), f"{tmp_path}/postjet.toml:1")


def test_an_operator_raises_the_general_number_for_one_site(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "[delivery]\nconnections = 2\n[[policies]]\nmx = '*.a.example'\nconnections = 50")
    assert numbers(policy) == {"site:mx.a.example": 50}


def test_of_one_layer_the_tightest_counts(tmp_path: Path) -> None:
    special, general = "mx = '*.a.example'\nconnections = 9\nrate = '5/s'\n", "rate = '9/s'\nconnections = 4\n"
    policy = policy_of(tmp_path, f"[[policies]]\n{special}[[policies]]\n{general}")
    assert numbers(policy) == {"site:mx.a.example": 4}
    assert numbers(policy, What.MESSAGES) == {"site:mx.a.example": 5}
    # [delivery] is of the shipped rules' layer: it bounds Mimecast's 10
    mimecast = policy_of(tmp_path, "[delivery]\nconnections = 2", hosts=["eu-smtp-inbound-1.mimecast.com"])
    assert [(limit.amount, limit.origin) for limit in mimecast.limits] == [(2, "[delivery]")]


def test_rules_without_a_header_have_no_line(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "policies = [{connections = 3}, {rate = '1/s'}]")
    assert {limit.origin for limit in policy.limits} == {f"{tmp_path}/postjet.toml"}


#: From the least to the most specific.
MATCHERS = [
    "", "pool = 'default'", "source = '192.0.2.1'", "provider = 'p'", "provider = 'p'\npool = 'default'",
    "mx = '*'", "mx = '*.a.example'\nsource = '192.0.2.1'", "domain = '*.example'", "domain = 'a.example'",
    "domain = 'a.example'\npool = 'default'",
]  # fmt: skip


@given(st.permutations(range(len(MATCHERS))).map(lambda order: order[:4]))
def test_of_one_layer_the_most_specific_value_counts(order: list[int]) -> None:
    rules = [f"[[policies]]\n{MATCHERS[i]}\nsite_down = {100 + i}\n" for i in order]
    text = "[[providers]]\nname = 'p'\nmx = '*.a.example'\n" + "".join(rules)
    config = Config.model_validate(tomllib.loads(text))
    outcome = Outcome(reading.shipped() + reading.of_config(config, None))
    assert outcome.policy("a.example", ["mx.a.example"], "s", "default", "192.0.2.1").site_down == 100 + max(order)


def test_of_equals_the_last_counts(tmp_path: Path) -> None:
    text = "[[policies]]\nmx = '*.a.example'\ntls = 'none'\n[[policies]]\nmx = 'mx.*'\ntls = 'required'"
    assert policy_of(tmp_path, text).tls == "required"


def test_a_higher_layer_counts_more_than_a_more_specific_rule(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "[[policies]]\ntls = 'none'\nmessages_per_connection = 500", hosts=GOOGLE)
    assert (policy.tls, policy.messages_per_connection) == ("none", 500)


def test_messages_per_connection_are_the_fewest_of_the_layer(tmp_path: Path) -> None:
    rules = "domain = 'a.example'\nmessages_per_connection = 30\n", "messages_per_connection = 10\n"
    policy = policy_of(tmp_path, "".join(f"[[policies]]\n{rule}" for rule in rules))
    assert (policy.messages_per_connection, policy.origins["messages_per_connection"]) == (
        10, f"{tmp_path}/postjet.toml:4",
    )  # fmt: skip


def test_a_list_of_retries_and_a_curve_replace_each_other(tmp_path: Path) -> None:
    general, special = "[[policies]]\n{}\n", "[[policies]]\ndomain = 'a.example'\n{}\n"
    as_list, as_curve = "retry = ['1m', '1h']", "retry_first = '2m'"
    policy = policy_of(tmp_path, general.format(as_list) + special.format(as_curve))
    assert (policy.retry, policy.retry_first) == ((), 120)
    assert "retry" not in policy.origins
    policy = policy_of(tmp_path, general.format(as_curve) + special.format(as_list))
    assert policy.retry == (60, 3600)
    assert policy_of(tmp_path, general.format(as_list)).retry == (60, 3600)


def test_a_provider_of_ones_own_comes_before_the_shipped_and_may_replace_one(tmp_path: Path) -> None:
    text = "[[providers]]\nname = 'workspace'\nmx = 'aspmx*.google.com'\n"
    assert policy_of(tmp_path, text, hosts=["aspmx.l.google.com"]).provider == "workspace"
    assert policy_of(tmp_path, text, hosts=GOOGLE).provider == "google"
    text = "[[providers]]\nname = 'google'\ndomain = '*.gmail.example'\n"
    assert policy_of(tmp_path, text, hosts=GOOGLE).provider == ""
    assert policy_of(tmp_path, text, "a.gmail.example").provider == "google"


def test_kv_lies_over_all() -> None:
    def rule(layer: Layer, connections: int) -> Rules:
        made = PolicyRule(domain="a.example", connections=connections, expire=connections * 100)
        return Rules(policies=(Written(made, layer, layer.name),))

    rules = rule(Layer.KV, 9) + rule(Layer.SHIPPED, 1) + rule(Layer.OPERATOR, 2)
    policy = Outcome(rules).policy("a.example", ["mx"], "s", "default", "")
    assert policy.limits == (Limit("domain:a.example", What.CONNECTIONS, 9, 0, "KV"),)
    assert (policy.expire, policy.origins) == (900, {"expire": "KV"})


def test_without_a_route_nothing_is_limited() -> None:
    policies = Policies(Rules(policies=(Written(PolicyRule(connections=1, expire="1d"), Layer.OPERATOR, "x:1"),)))
    policy = policies.policy("a.example", (), "", "default")
    assert (policy.limits, policy.expire) == ((), 86400)


def test_a_rule_for_several_domains_is_found_for_each() -> None:
    rule = Written(PolicyRule(domain=("a.example", "b.example", "a.example"), connections=1), Layer.OPERATOR, "x:1")
    outcome = Outcome(Rules(policies=(rule,)))
    for domain in ("a.example", "b.example"):
        assert numbers(outcome.policy(domain, ["mx"], "s", "default", "")) == {f"domain:{domain}": 1}
