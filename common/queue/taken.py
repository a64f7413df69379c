"""What a worker holds: entries that were handed out to it, and the readers they came through."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from common.entry import Entry
from common.queue.lanes import Consumer


@dataclass(eq=False)
class Reader:
    """One consumer being read."""

    consumer: Consumer
    asked: int = 0
    """Messages that standing pulls may still bring."""
    buffered: int = 0
    """Messages that were brought and not taken yet."""
    watchdog: asyncio.TimerHandle | None = None

    @property
    def created(self) -> float:
        """When the consumer was created, seconds since 1970, rounded up to what floats and nats-py keep."""
        return datetime.fromisoformat(self.consumer.created).timestamp() + 0.001


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

    def begin(self) -> bool:
        """Begin its attempt, unless it is not ours any more."""
        self.begun = not self.dropped
        return self.begun

    @property
    def inline_size(self) -> int:
        """Of content that it has in memory."""
        return len(self.entry.content) if isinstance(self.entry.content, bytes) else 0

    @property
    def sequence(self) -> int:
        """The latest copy's place in the stream."""
        return max(copy.sequence for copy in self.copies)
