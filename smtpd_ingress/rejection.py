"""What was refused, for the log and for whoever gathers rejections."""

from collections.abc import Callable
from dataclasses import dataclass

from common.codes import Reply


class RefusedError(Exception):
    """Ends the handling of a command with a reply."""

    def __init__(self, reply: Reply, delay: float = 0.0) -> None:
        """``delay``: seconds for which the reply is held back."""
        super().__init__(str(reply))
        self.reply, self.delay = reply, delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One refusal; the fields are those of ``common.event.Event``."""

    client_address: str
    interface: str
    phase: str
    """connect, command, dot (the end of a message), else the verb"""
    code: int
    enhanced: str
    text: str
    sender: str
    recipient: str


OnReject = Callable[[Rejection], None]
