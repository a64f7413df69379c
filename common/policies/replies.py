"""What replies mean: rules that match a refusal, and how often they must until something is done.

Mail that is delivered never comes here.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable

from common.policies.reading import Written
from common.policies.reply_rule import AT_ONCE, ReplyRule

_SAMPLE = re.compile(r"([45]\d\d)[ -](?:([45]\.\d{1,3}\.\d{1,3})(?: |$))?(.*)", re.DOTALL)


def parse_sample(text: str) -> tuple[int, str, str]:
    """Code, enhanced code and text of a reply as it is quoted. Raises ValueError."""
    match = _SAMPLE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no reply; write it as it came, such as 421 4.7.0 Try again later")
    return int(match[1]), match[2] or "", match[3]


class Rule:
    """One rule made ready."""

    def __init__(self, written: Written[ReplyRule]) -> None:
        rule = self.written = written
        self.rule, self.name, self.origin = rule.rule, rule.rule.name, rule.origin
        self._code = _any(code.replace("x", "[0-9]") for code in self.rule.code)
        self._enhanced = _any(re.escape(code).replace(r"\*", "[0-9]+") for code in self.rule.enhanced)
        self._text = [re.compile(text, re.IGNORECASE) for text in self.rule.text]

    def matches(self, code: int, enhanced: str, text: str) -> bool:
        """Whether the rule is for this reply."""
        return (
            (self._code is None or self._code(str(code)) is not None)
            and (self._enhanced is None or self._enhanced(enhanced) is not None)
            and (not self._text or any(one.search(text) for one in self._text))
        )

    def key(self, provider: str, site: str, source: str) -> str:
        """What the rule's action is done to, as ``Limit.key`` writes it."""
        place = f"provider:{provider}" if self.rule.provider and self.rule.scope != "site" else f"site:{site}"
        return f"{place}|source:{source}" if self.rule.scope == "source" and source else place


class ReplyRules:
    """All rules together. Of those with one name the one of the highest layer counts, of one layer the last."""

    def __init__(self, rules: tuple[Written[ReplyRule], ...]) -> None:
        named = {written.rule.name: written for written in sorted(rules, key=lambda written: written.layer)}
        self.all = [Rule(written) for written in named.values() if written.rule.action != "none"]
        self._by_provider: dict[str, list[Rule]] = {}
        for rule in self.all:
            self._by_provider.setdefault(rule.rule.provider, []).append(rule)

    def match(self, provider: str, code: int, enhanced: str, text: str) -> list[Rule]:
        """The rules for a refusal: those of the provider, and where none of these matches those for any."""
        for name in (provider, "") if provider else ("",):
            if found := [rule for rule in self._by_provider.get(name, ()) if rule.matches(code, enhanced, text)]:
                return found
        return []


class Triggers:
    """Counts how often rules matched, each by itself for each key. ``clock`` gives seconds."""

    #: Keys remembered; those whose time has passed are forgotten first.
    MAX_KEYS = 10_000

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: dict[tuple[str, str], deque[float]] = {}

    def fires(self, rule: Rule, key: str) -> bool:
        """Note that the rule matched under the key; whether it is to act now. Then the count begins again."""
        trigger = rule.rule.trigger
        if trigger is AT_ONCE or trigger.amount == 1:
            return True
        now = self._clock()
        if len(self._times) >= self.MAX_KEYS:
            self._forget(now)
        times = self._times.setdefault((rule.name, key), deque(maxlen=trigger.amount))
        times.append(now)
        if len(times) < trigger.amount or now - times[0] > trigger.per:
            return False
        del self._times[rule.name, key]
        return True

    def _forget(self, now: float) -> None:
        """Leave out the older half."""
        newest_first = sorted(self._times.items(), key=lambda item: item[1][-1], reverse=True)
        self._times = dict(newest_first[: self.MAX_KEYS // 2])


def _any(patterns: Iterable[str]) -> Callable[[str], object] | None:
    joined = "|".join(patterns)
    return re.compile(joined).fullmatch if joined else None
