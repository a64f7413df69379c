"""What a dialogue asks of whoever drives it, besides sending a ``common.codes.Reply``."""

from typing import NamedTuple

from common.codes import Reply
from smtpd_ingress.message import Message
from smtpd_ingress.sasl import Check, Done, Failed


class Queue(NamedTuple):
    """A message is whole: queue it, then call ``Dialogue.queued`` with what became of it."""

    message: Message


class Login(NamedTuple):
    """An AUTH exchange has ended: have it checked by ``smtpd_ingress.logins``, then call ``Dialogue.logged_in``."""

    mechanism: str
    step: Check | Done | Failed


class NewClient(NamedTuple):
    """The connection speaks for another client now: count it for that one, then call ``Dialogue.let_in``."""

    client: str
    """Its address."""


class StartTLS(NamedTuple):
    """Send 220, begin TLS, then call ``Dialogue.secured``."""


class Later(NamedTuple):
    """Send a reply after so many seconds."""

    reply: Reply
    seconds: float
