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
        counts = self._given | {"commands": sum(self._given.values())}
        refused = self._refused | {"commands": sum(self._refused.values())} if self._refused else {}
        return " ".join([
            f"{verb.lower()}={number - refused[verb]}/{number}" if verb in refused else f"{verb.lower()}={number}"
            for verb, number in counts.items()
        ])
