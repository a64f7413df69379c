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
        """As people read it: ``20/s for domain:a.example (postjet.toml:7)``, ``5 connections for provider:big``."""
        text = f"{self.number} for {self.key}"
        if self.what is not What.MESSAGES:
            text = f"{self.number} connection{'' if self.amount == 1 and not self.per else 's'} for {self.key}"
        return text + (f" ({self.origin})" if self.origin else "")

    @property
    def number(self) -> str:
        """``5`` or ``20/s``."""
        return str(Rate(self.amount, self.per) if self.per else self.amount)
