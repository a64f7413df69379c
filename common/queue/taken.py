"""What a worker holds: entries that were handed out to it, and the readers they came through."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from common.entry import Entry
from common.queue.consumers import Consumer
from common.subjects import bucket_of


@dataclass(eq=False)
class Reader:
    """One consumer being read."""

    consumer: Consumer
    asked: int = 0
    """Messages that standing pulls may still bring."""
    buffered: int = 0
    """Messages that were brought and not taken yet."""
    watchdog: asyncio.TimerHandle | None = None
    waiting: Counter[int] = field(default_factory=Counter)
    """By bucket what it brought and what has not begun."""
    on_room: Callable[["Reader"], None] = lambda _: None
    """Told when of what waits one has gone."""
    since: float = 0
    """What was stored later nobody can have tried before (seconds since 1970, rounded up as nats-py does)."""

    def __post_init__(self) -> None:
        self.since = datetime.fromisoformat(self.consumer.since or self.consumer.created).timestamp() + 0.001


@dataclass(frozen=True, slots=True)
class Copy:
    """One handing out of an entry: the sequence it has in the stream and where to ack it."""

    sequence: int
    reply: str
    reader: Reader


@dataclass(eq=False, slots=True)
class Taken:
    """An entry that this worker holds: unacked in the broker until it is finished."""

    subject: str
    entry: Entry
    copies: list[Copy]
    """One, and one more for each time it was handed out again; all of them are acked."""
    maybe_tried: bool
    """Redelivered, or older than its consumer: ``Taker.is_current`` tells whether it still counts."""
    begun: bool = False
    """Whether its attempt has begun: from here on it is finished, whatever happens to its consumer."""
    deferring: bool = False
    """Its schedule is being stored: a copy with another sequence is the next try, not this one."""
    dropped: bool = False
    """Not ours any more; the broker hands it out again."""
    waits: bool = True
    """It has neither begun nor gone."""

    def begin(self) -> bool:
        """Begin its attempt, unless it is not ours any more."""
        self.begun = not self.dropped
        self.waits_no_more()
        return self.begun

    def waits_no_more(self) -> None:
        """Its reader may bring another one."""
        if self.waits:
            self.waits = False
            reader = self.copies[0].reader
            reader.waiting[bucket_of(self.subject)] -= 1
            reader.on_room(reader)

    @property
    def inline_size(self) -> int:
        """Of content that it has in memory."""
        return len(self.entry.content) if isinstance(self.entry.content, bytes) else 0

    @property
    def sequence(self) -> int:
        """The latest copy's place in the stream."""
        return max(copy.sequence for copy in self.copies)
