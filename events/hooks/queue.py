"""Messages to endpoints as they lie in ``HOOKS``: stored in batches, as many as may wait, scheduled for another try."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from nats.aio.msg import Msg

from common.broker import Broker, BrokerError, Message, with_id
from common.queue.levels import level
from common.queue.moving import batches
from common.queue.schedule import schedule_headers
from common.subjects import HOOKS_STREAM, hook, hooks
from common.webhook import Webhook
from events.story import rfc3339

#: The part of the store that all that waits may have.
PART = 1 / 20
#: The size of one, at least; where there was no room it is there again when so much is free.
SIZE, AGAIN = 1000, 0.1
#: Seconds between looks at how much waits.
LOOK = 1.0
_SINCE, _TRIES = "Postjet-Since", "Postjet-Tries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One message to one endpoint."""

    endpoint: str
    id: str
    """The ``webhook-id``."""
    body: bytes
    since: float
    """When it was queued, seconds since 1970."""
    tries: int = 0
    """So far."""

    @classmethod
    def of(cls, message: Msg) -> Self:
        """One that the broker handed out."""
        _, _, endpoint, identifier = message.subject.split(".", 3)
        headers: Mapping[str, str] = message.headers or {}
        since, tries = float(headers.get(_SINCE, 0)), int(headers.get(_TRIES, 0))
        return cls(endpoint=endpoint, id=identifier, body=message.data, since=since, tries=tries)

    def ready(self, run: str = "") -> Message:
        """To be sent at once; ``run``: again, though it may have been sent a moment ago."""
        headers = {_SINCE: f"{self.since:.3f}"}
        return with_id(
            hook("q", self.endpoint, self.id), self.body, f"{run}{self.endpoint}.{self.id}", **headers
        )

    def later(self, at: float) -> Message:
        """To be sent at a time (seconds since 1970), after another try. A second one replaces the first."""
        headers = {_SINCE: f"{self.since:.3f}", _TRIES: str(self.tries + 1)}
        schedule = schedule_headers(hook("q", self.endpoint, self.id), rfc3339(at))
        return Message(hook("s", self.endpoint, self.id), self.body, headers | schedule)


async def store(broker: Broker, messages: Iterable[Message]) -> None:
    """Store them; those that are there already are stored once. Raises BrokerFailure: some of them may be."""
    for batch in batches(messages):
        try:
            if len(batch) > 1:
                await broker.put_batch(batch)
                continue
        except BrokerError as error:
            # one of them was stored in another batch, before a crash: nothing of this one is
            if error.code != BrokerError.DUPLICATE_IN_BATCH:
                raise
        for message in batch:
            await broker.put(message)


async def waiting(broker: Broker, endpoint: str) -> int:
    """How many wait for an endpoint, to be sent or to be tried again. Raises BrokerFailure."""
    return (await level(broker, HOOKS_STREAM, hooks("*", endpoint))).count


class Room:
    """How much more may wait for each endpoint. ``max_store``: what the broker may store, in bytes."""

    def __init__(self, broker: Broker, endpoints: Sequence[Webhook], max_store: int) -> None:
        self._broker = broker
        self._share = PART * max_store / max(1, len(endpoints))
        """Bytes of each: what waits for one must not take the room of another."""
        self._most = {endpoint.name: endpoint.max_waiting for endpoint in endpoints}
        self._left, self._free = dict[str, int](), dict[str, float]()
        """Messages and bytes."""
        self._looked = float("-inf")

    async def look(self) -> None:
        """Ask the broker, unless that was a moment ago. Raises BrokerFailure."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        state = (await self._broker.api(f"STREAM.INFO.{HOOKS_STREAM}"))["state"]
        together = state["messages"]
        size = max(SIZE, state["bytes"] / max(1, together))
        for name, most in self._most.items():
            # to count those of one endpoint costs the broker a look at each; as a rule all together are few
            few = together < min(most, self._share / size) // 2
            count = together if few else await waiting(self._broker, name)
            self._left[name], self._free[name] = most - count, self._share - size * count
        self._looked = now

    def take(self, endpoint: str, size: int) -> bool:
        """Whether one more of so many bytes may wait for it, which is counted. The last may be larger than its room."""
        if self._left[endpoint] <= 0 or self._free[endpoint] <= 0:
            return False
        self._left[endpoint] -= 1
        self._free[endpoint] -= max(SIZE, size)
        return True

    def is_there_again(self, endpoint: str) -> bool:
        """Whether a part of what may wait is free: not with every message that leaves."""
        enough = self._left[endpoint] >= AGAIN * self._most[endpoint]
        return enough and self._free[endpoint] >= AGAIN * self._share
