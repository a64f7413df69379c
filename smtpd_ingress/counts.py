"""How many commands of each kind a client gave and how many of them were refused, as Postfix counts them."""


class Counts:
    """Counts of a connection."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._last = ""

    def begin(self, verb: str) -> None:
        """A command came; ``unknown`` for what is none."""
        self._given[verb] = self._given.get(verb, 0) + 1
        self._last = verb

    def fail(self) -> None:
        """The last one is refused, it or the message that followed it."""
        if self._last:
            self._refused[self._last] = self._refused.get(self._last, 0) + 1
            self._last = ""

    def __str__(self) -> str:
        """``ehlo=1 mail=1 rcpt=1/2 commands=3/4``: what was taken, of how many where some were not."""
        total = _ratio(sum(self._given.values()), sum(self._refused.values()))
        counts = [f"{verb.lower()}={_ratio(n, self._refused.get(verb, 0))}" for verb, n in self._given.items()]
        return " ".join([*counts, f"commands={total}"])


def _ratio(given: int, refused: int) -> str:
    return f"{given - refused}/{given}" if refused else str(given)
