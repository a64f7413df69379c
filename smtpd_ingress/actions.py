"""What a dialogue asks of whoever drives it, besides sending a ``common.codes.Reply``."""

from typing import NamedTuple

from smtpd_ingress.message import Message


class Queue(NamedTuple):
    """A message is whole: queue it, then call ``Dialogue.queued`` with what became of it."""

    message: Message


class StartTLS(NamedTuple):
    """Send 220, begin TLS, then call ``Dialogue.secured``."""
