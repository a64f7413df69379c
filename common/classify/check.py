"""Whether rules on classes do what the samples beside them say, and how many of all samples each is for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.classify.classifier import Classifier, Facts
from common.classify.quoted import read
from common.classify.rule import NONE, ClassRule
from common.policies.reading import Layer, Written

#: A rule for one reply alone says nothing of the next one.
LEAST = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of a rule, as a session would have met it."""

    written: Written[ClassRule]
    text: str

    @property
    def facts(self) -> Facts:
        """Code, enhanced code and phase that the text names, else the first phase of the rule."""
        found, rule = read(self.text), self.written.rule
        return Facts(found.code, found.enhanced, found.phase or (*rule.phase, "")[0], rule.provider)

    @property
    def said(self) -> str:
        """Its words."""
        return read(self.text).text


@dataclass(frozen=True, slots=True)
class Reach:
    """Of all samples there are: how many a rule matches, and how many it decides, being the first to match."""

    written: Written[ClassRule]
    matches: int
    decides: int


def reach(classifier: Classifier) -> list[Reach]:
    """For each rule in force, in their order. Samples that are one but for ids and addresses count once."""
    samples = [Sample(written, text) for written in classifier.rules for text in written.rule.samples]
    seen = {(sample.facts, classifier.normal(sample.said)) for sample in samples}
    found = [classifier.matching(facts, words) for facts, words in seen]
    return [
        Reach(written, sum(i in numbers for numbers in found), sum(numbers[:1] == [i] for numbers in found))
        for i, written in enumerate(classifier.rules)
    ]


def problems(operators: Sequence[Written[ClassRule]], classifier: Classifier) -> Iterator[tuple[str, str, str]]:
    """Origin, name and what is wrong with it, of each rule in force, and of ``operators`` that switch off."""
    for written in classifier.rules:
        for text in _of(written, classifier):
            yield written.origin, written.rule.name, text
    shipped = {written.rule.name for written in classifier.written if written.layer == Layer.SHIPPED}
    for written in operators:
        if written.rule.class_ == NONE and written.rule.name not in shipped:
            yield written.origin, written.rule.name, "switches nothing off: no shipped rule has that name"


def _of(written: Written[ClassRule], classifier: Classifier) -> Iterator[str]:
    rule = written.rule
    samples = [Sample(written, text) for text in rule.samples]
    if len({(sample.facts, classifier.normal(sample.said)) for sample in samples}) < LEAST:
        yield f"has not {LEAST} samples that differ by more than ids and addresses; without, it is for one reply alone"
    for sample in samples:
        found = [classifier.rules[i] for i in classifier.matching(sample.facts, classifier.normal(sample.said))]
        if written not in found:
            yield f"sample {sample.text!r} is not matched"
        elif found[0] is not written and found[0].layer == written.layer:  # a higher layer may take what it will
            yield f"sample {sample.text!r} is taken by {found[0].rule.name} ({found[0].origin})"
    for text in rule.not_samples:
        other = Sample(written, text)
        if written in [classifier.rules[i] for i in classifier.matching(other.facts, classifier.normal(other.said))]:
            yield f"{text!r} is matched, though not_samples has it"
