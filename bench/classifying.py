"""What a refusal costs to classify, in µs of CPU, beside the same expressions in Python's own ``re``.

``python -m bench.classifying``. The texts are the samples of the shipped rules, 300 of them; seconds in all.
"""

import re
import time
from collections.abc import Callable, Sequence

from common.classify.classifier import Classifier
from common.classify.normal import MAX_TEXT
from common.classify.reading import classifier

#: What makes an expression with ``*`` in it start again at every word.
HARD = ("user " * MAX_TEXT)[:MAX_TEXT]


def main() -> None:
    """Measure and print."""
    began = time.process_time()
    ours = classifier()
    texts = [text for written in ours.rules for text in written.rule.samples]
    ours.classify(550, "5.1.1", "", "rcpt")
    print(f"{len(ours.rules)} rules made ready: {(time.process_time() - began) * 1e3:.0f} ms, once a process")
    first = _each(lambda text: ours.classify(550, "5.1.1", text, "rcpt"), texts)
    known = _each(lambda text: ours.classify(550, "5.1.1", text, "rcpt"), texts * 20)
    again = _each(lambda text: _forgetful(ours).classify(550, "5.1.1", text, "rcpt"), texts * 5)
    report = _each(lambda text: _forgetful(ours).classify(0, "", text), texts * 5)
    hard = _each(lambda text: _forgetful(ours).classify(0, "", text), [HARD] * 20)
    words = [ours.normal(text) for text in texts]
    expressions = [re.compile(text) for text in ours.expressions()]
    python = _each(lambda text: [one.search(text) for one in expressions], words)
    re2 = _each(lambda text: ours.search(text), words)
    slow = _each(lambda text: [one.search(text) for one in expressions], [HARD])
    print(f"words never seen before                    {first:8.0f} µs")
    print(f"words of another refusal, other ids        {known:8.0f} µs")
    print(f"words not remembered, in session           {again:8.0f} µs")
    print(f"the same of a report                       {report:8.0f} µs")
    print(f"the hardest text of {MAX_TEXT} characters        {hard:8.0f} µs")
    print(f"{len(expressions)} expressions by RE2: {re2:.0f} µs; by re: {python:.0f} µs, the hardest {slow:.0f} µs")


def _each(work: Callable[[str], object], texts: Sequence[str]) -> float:
    """µs of CPU for one."""
    began = time.process_time()
    for text in texts:
        work(text)
    return (time.process_time() - began) / len(texts) * 1e6


def _forgetful(ours: Classifier) -> Classifier:
    ours.forget()
    return ours


if __name__ == "__main__":
    main()
