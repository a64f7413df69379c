"""Many regular expressions asked at once, in time linear in the text: RE2, so that no text can make it slow."""

from collections.abc import Iterable, Sequence

import re2

from common.classify.normal import fold

#: Bytes of the automaton that is built while texts come; what does not fit is built again.
_MEMORY = 64 << 20


def _options() -> re2.Options:
    options = re2.Options()
    options.case_sensitive, options.log_errors, options.never_capture = False, False, True
    options.max_mem = _MEMORY
    return options


def check(text: str) -> str:
    """An expression as it is. Raises ValueError."""
    try:
        re2.compile(text, _options())
    except re2.error as error:
        why = error.args[0] if error.args else ""
        said = why.decode() if isinstance(why, bytes) else why
        raise ValueError(f"{text!r} is no regular expression of RE2 (without (?=, (?<, \\1): {said}") from None
    return text


class Expressions:
    """Expressions of owners, who are numbers."""

    def __init__(self, expressions: Iterable[tuple[int, str]]) -> None:
        self._set = re2.Set.SearchSet(_options())
        self._owners: list[int] = []
        for owner, text in expressions:
            self._set.Add(fold(text))
            self._owners.append(owner)
        if self._owners:
            self._set.Compile()

    def search(self, text: str) -> set[int]:
        """The owners of expressions that are found in a normal text."""
        if not self._owners:
            return set()
        found: Sequence[int] = self._set.Match(text) or ()  # None: no match
        return {self._owners[i] for i in found}
