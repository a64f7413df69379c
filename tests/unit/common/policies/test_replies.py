import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.policies.reading import Layer, Written
from common.policies.replies import ReplyRules, Rule, Triggers, parse_sample
from common.policies.reply_rule import ReplyRule
from common.units import Rate


def rule(layer: Layer = Layer.OPERATOR, **values: object) -> Written[ReplyRule]:
    made = ReplyRule.model_validate({"name": "r", "action": "suspend", "for": "1h", "text": "busy"} | values)
    return Written(made, layer, "here:1")


def matching(rules: list[Written[ReplyRule]], provider: str = "", enhanced: str = "4.7.0") -> list[str]:
    return [found.name for found in ReplyRules(tuple(rules)).match(provider, 421, enhanced, "Server BUSY, sorry")]


@pytest.mark.parametrize(
    ("values", "matched"),
    [
        ({}, True),
        ({"text": "BUSY.*sorry$"}, True),
        ({"text": ["idle", "busy"]}, True),
        ({"text": "idle"}, False),
        ({"text": (), "code": 421}, True),
        ({"text": (), "code": ["4xx"]}, True),
        ({"code": ["450", "42x"]}, True),
        ({"code": "5xx"}, False),
        ({"code": 42}, None),
        ({"enhanced": "4.7.0"}, True),
        ({"enhanced": "4.7.*"}, True),
        ({"enhanced": ["4.2.*", "4.*.0"]}, True),
        ({"enhanced": "4.7.1"}, False),
        ({"text": "busy", "code": 421, "enhanced": "4.3.*"}, False),
    ],
)
def test_all_that_a_rule_names_must_be_so(values: dict[str, object], matched: bool | None) -> None:
    if matched is None:
        with pytest.raises(ValueError, match="is no code"):
            rule(**values)
    else:
        assert matching([rule(**values)]) == ["r"] * matched


def test_without_an_enhanced_code_a_rule_on_one_does_not_match() -> None:
    assert matching([rule(enhanced="4.*.*")], enhanced="") == []
    assert matching([rule()], enhanced="") == ["r"]


def test_rules_of_the_provider_come_first() -> None:
    rules = [rule(name="any"), rule(name="google", provider="google"), rule(name="yahoo", provider="yahoo", text="x")]
    assert matching(rules, "google") == ["google"]
    assert matching(rules, "yahoo") == matching(rules, "") == matching(rules, "else") == ["any"]


def test_all_rules_that_match_are_told() -> None:
    assert matching([rule(name="a"), rule(name="b", text="sorry"), rule(name="c", text="x")]) == ["a", "b"]


def test_the_higher_layer_replaces_the_rule_of_its_name() -> None:
    mine, shipped = rule(text="idle"), rule(Layer.SHIPPED)
    assert matching([shipped]) == ["r"]
    assert matching([mine, shipped]) == matching([shipped, mine]) == []
    assert matching([shipped, rule(action="none")]) == []


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({}, "site:s"),
        ({"scope": "site"}, "site:s"),
        ({"scope": "source"}, "site:s|source:192.0.2.1"),
        ({"provider": "p"}, "provider:p"),
        ({"provider": "p", "scope": "provider"}, "provider:p"),
        ({"provider": "p", "scope": "site"}, "site:s"),
        ({"provider": "p", "scope": "source"}, "provider:p|source:192.0.2.1"),
    ],
)
def test_what_an_action_is_done_to(values: dict[str, object], key: str) -> None:
    made = Rule(rule(**values))
    assert made.key("p", "s", "192.0.2.1") == key
    assert made.key("p", "s", "") == key.partition("|")[0]


def test_amounts() -> None:
    amounts = [("rate", "10/m", Rate(10, 60)), ("connections", 1, 1), ("messages_per_connection", 2, 2)]
    for action, value, amount in amounts:
        assert rule(action=action, value=value).rule.amount == amount
    assert ReplyRule(name="r", action="retry", text="x", value="15m").amount == 900
    assert rule().rule.amount is None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_trigger_counts_within_its_period_and_begins_again() -> None:
    clock = Clock()
    triggers, made = Triggers(clock), Rule(rule(trigger="3/m"))
    assert [triggers.fires(made, "k") for _ in range(4)] == [False, False, True, False]
    clock.now = 61
    assert [triggers.fires(made, "k") for _ in range(3)] == [False, False, True]
    assert [triggers.fires(made, "k"), triggers.fires(made, "other"), triggers.fires(made, "k")] == [False] * 3
    assert triggers.fires(made, "k")


def test_at_once_is_every_time() -> None:
    triggers, made = Triggers(Clock()), Rule(rule())
    assert all(triggers.fires(made, "k") for _ in range(3))
    assert not triggers._times


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(2, 5))
def test_it_fires_when_so_many_came_within_the_period_and_never_else(gaps: list[float], amount: int) -> None:
    clock = Clock()
    triggers, made = Triggers(clock), Rule(rule(trigger=f"{amount}/m"))
    waiting: list[float] = []
    for gap in gaps:
        clock.now += gap
        waiting = [when for when in waiting if clock.now - when <= 60] + [clock.now]
        assert triggers.fires(made, "k") == (len(waiting) >= amount)
        if len(waiting) >= amount:
            waiting = []


def test_counts_do_not_fill_the_memory() -> None:
    clock = Clock()
    triggers, made = Triggers(clock), Rule(rule(trigger="2/h"))
    for i in range(3 * Triggers.MAX_KEYS):
        clock.now += 1
        triggers.fires(made, str(i))
    assert len(triggers._times) <= Triggers.MAX_KEYS
    assert triggers.fires(made, str(3 * Triggers.MAX_KEYS - 1))  # the newest are kept


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("421 4.7.0 Try later", (421, "4.7.0", "Try later")),
        ("550-5.7.1 Two\n550 lines", (550, "5.7.1", "Two\n550 lines")),
        ("450 4.2.1x is text", (450, "", "4.2.1x is text")),
        ("554 ", (554, "", "")),
        ("550 5.1.1", (550, "5.1.1", "")),
    ],
)
def test_samples(text: str, parts: tuple[int, str, str]) -> None:
    assert parse_sample(text) == parts


@pytest.mark.parametrize("text", ["", "hello", "250 2.0.0 Ok", "42 x", "4210 x"])
def test_what_is_no_refusal_is_no_sample(text: str) -> None:
    with pytest.raises(ValueError, match="is no reply; write it as it came"):
        parse_sample(text)
