"""What rules say that cannot be meant: tried on the samples beside them, and on one another."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from common.classify import check as check_classes
from common.classify.reading import classifier
from common.classify.rule import ClassRule
from common.config import Config
from common.policies.outcome import Outcome, in_order
from common.policies.patterns import covers, matcher
from common.policies.reading import DELIVERY, Layer, Rules, Written
from common.policies.replies import ReplyRules, Rule, parse_sample
from common.policies.reply_rule import PACE, ReplyRule
from common.policies.rules import LIMITS, SCALARS, PolicyRule, Provider


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person should look at."""

    origin: str
    """``<file>:<line>`` of the rule."""
    rule: str
    """Its name, or its table."""
    text: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.rule}: {self.text}"


def problems(rules: Rules, config: Config) -> list[Problem]:
    """All that is found, in the order of the rules. Raises ConfigError for a provider that is not known."""
    outcome = Outcome(rules)
    return [
        *_of_names("provider", rules.providers),
        *_of_names("reply", rules.replies),
        *_of_providers(in_order(rules.providers), outcome),
        *_of_policies(rules.policies, outcome, config),
        *_of_replies(rules),
    ]


def of_classes(rules: Rules) -> list[Problem]:
    """What is found of the operator's rules on classes and of the shipped ones."""
    tried = check_classes.problems(rules.classes, classifier(rules.classes))
    return [
        *_of_names("class", rules.classes),
        *(Problem(origin, f"class {name}", text) for origin, name, text in tried),
    ]


def _of_names(
    table: str, rules: Sequence[Written[Provider]] | Sequence[Written[ReplyRule]] | Sequence[Written[ClassRule]]
) -> Iterator[Problem]:
    """One of the name of a shipped rule replaces that; two of one file are a mistake."""
    first: dict[tuple[Layer, str], str] = {}
    for written in rules:
        name = written.rule.name
        before = first.setdefault((written.layer, name), written.origin)
        if before != written.origin:
            yield Problem(written.origin, f"{table} {name}", f"has the name of the one at {before}; choose another")


def _of_providers(providers: list[Written[Provider]], outcome: Outcome) -> Iterator[Problem]:
    for i, written in enumerate(providers):
        rule = written.rule

        def problem(text: str, written: Written[Provider] = written) -> Problem:
            return Problem(written.origin, f"provider {written.rule.name}", text)

        for earlier in providers[:i]:
            for key in ("mx", "domain"):
                for narrow in getattr(rule, key):
                    if wide := next((wide for wide in getattr(earlier.rule, key) if covers(wide, narrow)), None):
                        other = f"provider {earlier.rule.name} ({earlier.origin})"
                        yield problem(f"{key} {narrow!r} never matches: {wide!r} of {other} comes before it")
        for sample in rule.samples:
            found = _provider(outcome, sample)
            if found not in (rule.name, *(other.rule.name for other in providers if other.layer > written.layer)):
                yield problem(f"sample {sample!r} is {f'taken by provider {found}' if found else 'not matched'}")
        for sample in rule.not_samples:
            if _provider(outcome, sample) == rule.name:
                yield problem(f"{sample!r} is matched, though not_samples has it")


def _provider(outcome: Outcome, sample: str) -> str:
    """A sample may be an MX host or a domain."""
    return outcome.provider("", [sample]) or outcome.provider(sample, [])


def _of_policies(
    policies: tuple[Written[PolicyRule], ...], outcome: Outcome, config: Config
) -> Iterator[Problem]:
    sources = {address for pool in config.pools.values() for address in pool.source_addresses}
    for written in policies:
        rule = written.rule
        if rule.pool and rule.pool not in config.pools:
            pools = ", ".join(config.pools)
            yield _policy(written, f"never matches: {rule.pool!r} is no pool of the configuration; there are {pools}")
        if rule.source and rule.source not in sources:
            yield _policy(written, f"never matches: no pool has the source address {rule.source}")
        for sample in rule.samples:
            if not _is_for(rule, sample, outcome):
                yield _policy(written, f"sample {sample!r} is not matched")
        for sample in rule.not_samples:
            if _is_for(rule, sample, outcome):
                yield _policy(written, f"{sample!r} is matched, though not_samples has it")
    first: dict[tuple[object, ...], Written[PolicyRule]] = {}
    for written in policies:
        for key in (*LIMITS, *SCALARS) if written.origin != DELIVERY else ():
            if written.rule.sets(key):
                before = first.setdefault((key, written.layer, *written.rule.matchers), written)
                if before is not written:
                    text = f"sets {key} for the same mail as the rule at {before.origin}; write it once"
                    yield _policy(written, text)


def _is_for(rule: PolicyRule, sample: str, outcome: Outcome) -> bool:
    """Whether a rule is for a domain, or where it names none for an MX host."""
    if rule.domain:
        return matcher(rule.domain)(sample)
    return (not rule.mx or matcher(rule.mx)(sample)) and rule.provider in ("", _provider(outcome, sample))


def _policy(written: Written[PolicyRule], text: str) -> Problem:
    rule = written.rule
    named = [(key, getattr(rule, key)) for key in ("domain", "mx", "provider", "pool", "source")]
    what = " ".join(f"{key} {_text(value)}" for key, value in named if value)
    return Problem(written.origin, f"policy for {what or 'all'}", text)


def _of_replies(rules: Rules) -> Iterator[Problem]:
    replies = ReplyRules(rules.replies)
    for rule in replies.all:
        yield from (Problem(rule.origin, f"reply {rule.name}", text) for text in _of_reply(rule))
    for one, other in combinations(replies.all, 2):
        if one.rule.provider == other.rule.provider and _differ(one, other):
            for sample in (*one.rule.samples, *other.rule.samples):
                if _is_reply(sample) and one.matches(*parse_sample(sample)) and other.matches(*parse_sample(sample)):
                    text = f"{sample!r} matches it and reply {one.name} ({one.origin}), which does something else"
                    yield Problem(other.origin, f"reply {other.name}", text)
                    break
    shipped = {written.rule.name for written in rules.replies if written.layer == Layer.SHIPPED}
    for written in rules.replies:
        if written.rule.action == "none" and written.rule.name not in shipped:
            text = "switches nothing off: no shipped rule has that name"
            yield Problem(written.origin, f"reply {written.rule.name}", text)


def _of_reply(rule: Rule) -> Iterator[str]:
    written = rule.rule
    # RFC 2034 4: the class of the enhanced code is the first digit of the code
    digits = [{code[0] for code in codes} for codes in (written.code, written.enhanced) if codes]
    if digits and not set.intersection(*digits):
        yield "never matches: code and enhanced begin with different digits"
    for text in written.text:
        if re.search(r"\\\\", text):
            yield f"text '{text}' asks for a backslash, which replies do not hold; write one, not two, within '…'"
    for sample in (*written.samples, *written.not_samples):
        if not _is_reply(sample):
            yield f"sample {sample!r} is no reply; write it as it came, such as 421 4.7.0 Try again later"
        elif sample in written.samples and not rule.matches(*parse_sample(sample)):
            yield f"sample {sample!r} is not matched"
        elif sample in written.not_samples and rule.matches(*parse_sample(sample)):
            yield f"{sample!r} is matched, though not_samples has it"


def _is_reply(sample: str) -> bool:
    try:
        parse_sample(sample)
    except ValueError:
        return False
    return True


def _differ(one: Rule, other: Rule) -> bool:
    """Whether both cannot be meant for one reply: two actions on the pace, or two on the delivery."""
    same_kind = (one.rule.action in PACE) == (other.rule.action in PACE)
    return same_kind and (one.rule.action, one.rule.value, one.rule.for_) != (
        other.rule.action, other.rule.value, other.rule.for_,
    )  # fmt: skip


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
