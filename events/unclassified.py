"""Refusals that no rule on classes knows, gathered by their words: what a new rule could be for."""

from collections import Counter
from dataclasses import dataclass

from common.classify.classes import UNCLASSIFIED
from common.classify.classifier import Classifier
from events.store import NoTableError, Store

#: Different texts that are read, the most frequent first.
MOST = 50_000
_COLUMNS = ("code", "enhanced_code", "phase", "provider", "text")
_KEYS = ", ".join(_COLUMNS)
_QUERY = f"""SELECT {_KEYS}, sum(count) AS seen FROM events
             WHERE bounce_class = '{UNCLASSIFIED}' AND time >= now64(3) - toIntervalSecond({{seconds:UInt32}})
             GROUP BY {_KEYS} ORDER BY seen DESC, text LIMIT {MOST}"""


@dataclass(frozen=True, slots=True)
class Unclassified:
    """Replies that differ by ids and addresses alone."""

    seen: int
    """How many events have one of them."""
    code: int
    enhanced_code: str
    phase: str
    provider: str
    words: str
    """As rules see them."""
    example: str


def unclassified(store: Store, seconds: float, classifier: Classifier) -> list[Unclassified]:
    """Those of the last so many seconds, the most frequent first; what a rule knows by now is left out.

    Raises NotReachableError, RefusedError.
    """
    try:
        rows = store.query(_QUERY, {"seconds": int(seconds)})
    except NoTableError:
        return []
    seen: Counter[tuple[int, str, str, str, str]] = Counter()
    examples: dict[tuple[int, str, str, str, str], str] = {}
    for row in rows:
        code, enhanced, phase, provider, text = (row[name] for name in _COLUMNS)
        if classifier.classify(code, enhanced, text, phase, provider).bounce_class == UNCLASSIFIED:
            key = code, enhanced, phase, provider, classifier.normal(text)
            seen[key] += row["seen"]
            examples.setdefault(key, text)
    return [Unclassified(count, *key, examples[key]) for key, count in seen.most_common()]
