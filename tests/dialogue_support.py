"""Drives a ``Dialogue`` as a connection does, without one."""

from collections.abc import Iterator

from common.codes import OK, READY_FOR_TLS, Reply
from common.config import Config
from common.content import load
from common.entry import Entry
from common.event import Event
from common.listener import Listener
from smtpd_ingress.actions import Later, Login, NewClient, Queue, StartTLS
from smtpd_ingress.context import Context
from smtpd_ingress.dialogue import Dialogue
from smtpd_ingress.logins import Logins
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.sasl import BAD_CREDENTIALS


async def submit(entries: list[Entry], content: bytes, row: Event) -> None:
    raise AssertionError("a dialogue queues nothing by itself")


def context(
    listener: Listener | None = None,
    rejections: list[Rejection] | None = None,
    logins: Logins | None = None,
    **keys: str,
) -> Context:
    rejected = [] if rejections is None else rejections
    config = Config(hostname="mta1.example.net", **keys)
    return Context.of(config, listener or Listener(), submit, rejected.append, logins)


class Driven:
    """A client's session: bytes in, replies and messages out."""

    def __init__(self, client: str = "127.0.0.1", of: Context | None = None) -> None:
        self.dialogue = Dialogue(of or context(), client)
        self.messages: list[tuple[tuple[str, ...], bytes]] = []
        """Recipients and content of each that is answered 250."""
        self.closed = False

    def say(self, data: bytes, size: int = 2**16) -> list[Reply]:
        """Send bytes, so many at a time; the replies."""
        replies = []
        for start in range(0, len(data), size):
            if not self.closed:
                self.dialogue.feed(data[start : start + size])
                replies += self._replies()
        return replies

    def queue(self, action: Queue) -> Reply:
        """What becomes of a message."""
        content = action.message.finish()
        transaction = self.dialogue.session.transaction
        assert transaction
        if not action.message.refusal:
            self.messages.append((tuple(map(str, transaction.recipients)), load(content)))
        return self.dialogue.queued(action.message.refusal or OK)

    def login(self, action: Login) -> Reply:
        """What becomes of a login."""
        return self.dialogue.logged_in(BAD_CREDENTIALS)

    def _replies(self) -> Iterator[Reply]:
        while not self.closed and (action := self.dialogue.next()) is not None:
            if isinstance(action, Queue):
                action = self.queue(action)
            if isinstance(action, Login):
                action = self.login(action)
            if isinstance(action, NewClient):
                action = self.dialogue.let_in(None)
            if isinstance(action, StartTLS):
                self.dialogue.secured("TLSv1.3", "TLS_AES_256_GCM_SHA384")
                action = READY_FOR_TLS
            if isinstance(action, Later):
                action = action.reply
            self.closed = action.close
            yield action
