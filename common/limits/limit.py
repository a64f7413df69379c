"""A limit: one number, and the key that says what it limits."""

from dataclasses import dataclass
from enum import StrEnum

from common.units import Rate


class What(StrEnum):
    """What is counted."""

    CONNECTIONS = "connections"
    """Open at the same time, idle ones included."""
    MESSAGES = "messages"
    """Transactions begun in ``per`` seconds."""
    CONNECTS = "connects"
    """Connections opened in ``per`` seconds."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``amount`` of something under ``key``; several limits apply at once, the tightest wins."""

    key: str
    """What it limits: ``site:<route key>``, ``domain:<domain>``, ``provider:<name>``, ``source:<address>``,
    ``pool:<name>``, or several of them joined by ``|`` in this order."""
    what: What
    amount: int
    per: float = 0
    """Seconds of the window; 0 for what is counted while it lasts."""
    origin: str = ""
    """Where it was written: ``<file>:<line>``, ``KV <name>`` or ``[delivery]``."""

    def __str__(self) -> str:
        """As people read it: ``domain:a.example 20/s (postjet.toml:7)``."""
        number = str(Rate(self.amount, self.per) if self.per else self.amount)
        unit = "" if self.what is What.MESSAGES else " connections"
        return f"{self.key} {number}{unit}" + (f" ({self.origin})" if self.origin else "")
