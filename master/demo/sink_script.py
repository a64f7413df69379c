"""How a sink misbehaves: rules that say what happens at which point of the SMTP dialogue."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

Phase = Literal["connect", "banner", "ehlo", "starttls", "mail", "rcpt", "data", "dot", "taken", "rset", "quit"]
Action = Literal["reply", "hang", "drop", "garbage"]

GARBAGE = "\x00\udcff no reply code\r\n"


@dataclass(kw_only=True)
class Rule:
    """At ``phase``, for mail to ``recipient``: wait, then do something else than the sink would.

    ``dot`` decides whether the mail is taken; ``taken`` is after it was kept and before the 250 leaves, for
    mail whose sender must not learn its fate.
    """

    phase: Phase
    recipient: str = ""
    """An address, a domain, or ``""``: any. Matches in ``rcpt`` and after it."""
    reply: str = ""
    """What the sink says, ``450 4.2.0 Try later``; ``""``: what it would have said. 421 also closes."""
    wait: float | asyncio.Event = 0
    """Seconds, or an event, before ``do``; what the reply decides is decided at once."""
    do: Action = "reply"
    """``hang``: say nothing more; ``drop``: close without a word; ``garbage``: no SMTP (in ``starttls``: no TLS)."""
    times: int = 0
    """How often it applies; 0: always."""
    used: int = field(default=0, init=False)
    """How often it applied."""

    def __post_init__(self) -> None:
        if self.phase not in get_args(Phase) or self.do not in get_args(Action):
            raise ValueError(f"{self.phase}, {self.do}: no such phase or action")

    @property
    def accepts(self) -> bool:
        """Whether the client's command is carried out all the same."""
        return self.do == "reply" and self.reply[:1] in ("", "2", "3")

    def applies(self, phase: Phase, recipients: Iterable[str]) -> bool:
        """Whether it is this rule's turn."""
        return (
            self.phase == phase
            and (not self.times or self.used < self.times)
            and (not self.recipient or any(self._matches(address.lower()) for address in recipients))
        )

    def _matches(self, address: str) -> bool:
        wanted = self.recipient.lower()
        return wanted in (address, address.rpartition("@")[2])
