"""Classes by rules: ``Classifier.classify`` says what kind of refusal a reply or report is."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from common.classify.classes import BY_NAME, UNCLASSIFIED, Type
from common.classify.normal import MAX_TEXT, normal
from common.classify.quoted import read
from common.classify.rule import NONE, ClassRule
from common.event import Event
from common.policies.reading import Written

if TYPE_CHECKING:
    from common.classify.expressions import Expressions

#: Replies remembered.
MAX_CACHE = 10_000
#: Words that a mailbox is not there are believed of who was asked for it, in RCPT, or whose enhanced code says it too
#: (RFC 3463 3.2 and 3.3); decision 011. Elsewhere they may be about a filter, or a mailbox that somebody forwards to.
_ADDRESS = re.compile(r"5\.1\.(?!7$|8$)\d+")  # X.1.7 and X.1.8 are the sender's
_MAILBOX = re.compile(_ADDRESS.pattern + r"|5\.2\.1|5\.7\.1[37]")  # RFC 7293 4
_AGREES = {"invalid-recipient": _ADDRESS, "moved": _MAILBOX, "inactive-mailbox": _MAILBOX}
#: That a domain is not there is believed of who does not speak of another: in these phases it is a name of ours, or one
#: in the message, for the recipient's was accepted already, or not named yet.
_ELSEWHERE = frozenset({"banner", "ehlo", "mail", "data", "dot"})
_DOMAIN = re.compile(_ADDRESS.pattern + r"|5\.4\.(?:4|310)|5\.7\.18")
#: Where two words of an identifier meet. Some names begin with "Spam", and are no judgement of a mail.
_GLUED = re.compile(r"(?<=[a-z]{2})(?<![Ss]pam)(?=[A-Z][a-z]{2})")


class Verdict(NamedTuple):
    """What kind of refusal it is."""

    bounce_class: str
    bounce_type: Type
    rule: str
    """Name of the rule that decided; ``""``: none did."""
    origin: str
    """``<file>:<line>`` of the rule."""
    permanent: bool
    """No further try: what a report says of itself, else what the codes say, else what is usual for the class."""


class Facts(NamedTuple):
    """What rules look at besides the words."""

    code: int
    enhanced: str
    phase: str
    provider: str


class Classifier:
    """All rules together, the operator's before the shipped ones; the first that matches decides.

    Of those with one name the one of the highest layer counts. ``words`` replace ``{name}`` in expressions.
    """

    def __init__(self, rules: Iterable[Written[ClassRule]], words: Mapping[str, str], ignored: Iterable[str]) -> None:
        self.written = sorted(rules, key=lambda written: written.layer)
        """All of them, also those that are replaced or switched off."""
        named = {written.rule.name: written for written in self.written}
        in_use = (written for written in named.values() if written.rule.class_ != NONE)
        self.rules = sorted(in_use, key=lambda written: -written.layer)
        """Those in force, in their order."""
        self._words = dict(words)
        self._ignored = re.compile("|".join(ignored)) if ignored else None
        self._cache: dict[tuple[Facts, str], Verdict] = {}
        self._without_text = lru_cache(1000)(self._first_without_text)

    def classify(
        self, code: int, enhanced_code: str, text: str, phase: str = "", provider: str = "", reported: str = ""
    ) -> Verdict:
        """The class of a refusal: in session with all that is known, of a report with what it has.

        ``code`` 0 and ``enhanced_code`` ``""``: looked for in the text. ``reported``: of a report, the phase that it
        tells beside the text. Never raises.
        """
        text, said, final = text[:MAX_TEXT], "", None
        if not phase:  # no session: somebody quotes it
            quoted = read(text, code)
            code, phase = code or quoted.code, reported or quoted.phase
            if not enhanced_code or enhanced_code.endswith(".0.0"):
                enhanced_code = quoted.enhanced or enhanced_code
            text, said, final = quoted.text, quoted.said, quoted.final
        facts, words = Facts(code, enhanced_code, phase, provider), self.normal(text)
        found = self._cache.get((facts, words))
        if found is None:
            if len(self._cache) >= MAX_CACHE:
                self._cache.clear()
            found = self._cache[facts, words] = self._verdict(facts, self.normal(said), words)
        return found if final is None else found._replace(permanent=final)

    def of(self, row: Event) -> Verdict:
        """The class of an attempt that failed. A row without phase, as ``expired`` is, has its type as phase."""
        return self.classify(row.code, row.enhanced_code, row.text, row.phase or row.type, row.provider)

    def normal(self, text: str) -> str:
        """The words as rules see them: ``RecipientNotFound`` too is three."""
        words = normal(_GLUED.sub(" ", text[:MAX_TEXT]))
        return self._ignored.sub(" ", words).strip() if self._ignored else words

    def forget(self) -> None:
        """Verdicts that are remembered."""
        self._cache.clear()

    def search(self, words: str) -> set[int]:
        """The numbers of the rules of whose texts one is in the words; of their ``not_text`` n it is ``-1 - n``."""
        return self._texts.search(words) if words else set()

    def expressions(self) -> list[str]:
        """All expressions of all rules, as they are asked."""
        return [text for _, text in self._expressions()]

    def matching(self, facts: Facts, words: str) -> list[int]:
        """The numbers of all rules that match, the one that decides first."""
        found = self.search(words)
        return [
            number
            for number, written in enumerate(self.rules)
            if (not written.rule.text or number in found)
            and not (written.rule.not_text and -1 - number in found)
            and self._fits[number].fits(facts)
        ]

    def _verdict(self, facts: Facts, said: str, words: str) -> Verdict:
        """By what was said with the code, if that tells anything, else by all the words."""
        last = without = self._without_text(facts)
        for part in (said, words) if said != words else (words,):
            last = self._first_with_text(facts, part, without)
            if last < without:
                break
        if last == len(self.rules):
            return self._say(facts, UNCLASSIFIED, None, "", "")
        written = self.rules[last]
        return self._say(facts, written.rule.class_, written.rule.type, written.rule.name, written.origin)

    def _first_with_text(self, facts: Facts, words: str, before: int) -> int:
        found = self.search(words)
        numbers = (
            number
            for number in sorted(found)
            if 0 <= number < before and -1 - number not in found and self._fits[number].fits(facts)
        )
        return next(numbers, before)

    def _first_without_text(self, facts: Facts) -> int:
        numbers = (
            number
            for number, written in enumerate(self.rules)
            if not written.rule.text and self._fits[number].fits(facts)
        )
        return next(numbers, len(self.rules))

    def _say(self, facts: Facts, name: str, type_: Type | None, rule: str, origin: str) -> Verdict:
        bounce_class = BY_NAME[name]
        type_ = type_ or ("soft" if _is_hearsay(name, facts) else bounce_class.type)
        kind = facts.code // 100 or {"4": 4, "5": 5}.get(facts.enhanced[:1], 0)
        if not facts.code and facts.enhanced == "4.0.0" and type_ == "hard":
            kind = 0  # of a report that ended: an undefined status (RFC 3463 3.1), and words that define it
        # RFC 5321 4.2.1: who says 4xx says to come back, so something may arrive
        type_ = "soft" if kind == 4 else type_
        return Verdict(name, type_, rule, origin, kind == 5 if kind else bounce_class.final)

    @cached_property
    def _fits(self) -> list["_Fits"]:
        return [_Fits(written.rule) for written in self.rules]

    @cached_property
    def _texts(self) -> "Expressions":
        from common.classify.expressions import Expressions  # loads RE2, which most processes do without

        return Expressions(self._expressions())

    def _expressions(self) -> Iterator[tuple[int, str]]:
        for number, written in enumerate(self.rules):
            for owner, texts in ((number, written.rule.text), (-1 - number, written.rule.not_text)):
                yield from ((owner, self._expanded(text)) for text in texts)

    def _expanded(self, text: str) -> str:
        return re.sub(r"\{([a-z_]+)\}", lambda match: self._words.get(match[1], match[0]), text)


class _Fits:
    """What a rule asks besides words."""

    def __init__(self, rule: ClassRule) -> None:
        self._phase, self._provider = frozenset(rule.phase), rule.provider
        self._code = _any(code.replace("x", "[0-9]") for code in rule.code)
        self._enhanced = _any(
            code.replace("x", "[45]").replace(".", r"\.").replace("*", "[0-9]+") for code in rule.enhanced
        )

    def fits(self, facts: Facts) -> bool:
        return (
            (not self._phase or facts.phase in self._phase)
            and self._provider in ("", facts.provider)
            and (self._code is None or self._code(str(facts.code)) is not None)
            and (self._enhanced is None or self._enhanced(facts.enhanced) is not None)
        )


def _is_hearsay(name: str, facts: Facts) -> bool:
    if name == "bad-domain":
        return facts.phase in _ELSEWHERE and not _DOMAIN.fullmatch(facts.enhanced)
    agrees = _AGREES.get(name)
    return agrees is not None and facts.phase != "rcpt" and not agrees.fullmatch(facts.enhanced)


def _any(patterns: Iterable[str]) -> Callable[[str], object] | None:
    joined = "|".join(patterns)
    return re.compile(joined).fullmatch if joined else None
