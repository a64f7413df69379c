"""What replies have brought upon a site, a provider or a source address for a time.

Holds lie in KV until they lapse, so every worker obeys them, after a restart too.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerFailure, Message, UnknownOutcomeError
from common.ids import token
from common.limits.limit import Limit, What
from common.queue import leases
from common.queue.listing import walk
from common.waits import wait

log = structlog.get_logger()

STREAM = "KV_holds"
_PREFIX = "$KV.holds."
#: Asked of all workers: to look, and to say so.
LIFTED = "holds.lifted"
#: Seconds between two looks; what is placed or lifted is seen at once.
EVERY = 2.0
#: Seconds that workers have to look: who lives and is silent for so long sees it at its next look.
PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Hold:
    """One action of a reply rule, in force. Times are seconds since 1970."""

    key: str
    """What it is about, as ``Limit.key`` writes it."""
    action: str
    """``suspend``, ``rate``, ``connections`` or ``messages_per_connection``."""
    since: float
    until: float
    rule: str
    origin: str
    """Where the rule is written."""
    why: str
    """The reply that brought it about."""
    amount: int = 0
    per: float = 0
    """Seconds, of a rate."""

    @property
    def limit(self) -> Limit | None:
        """What it adds to the limits of a policy."""
        what = {"rate": What.MESSAGES, "connections": What.CONNECTIONS}.get(self.action)
        return Limit(self.key, what, self.amount, self.per, self.by) if what else None

    @property
    def by(self) -> str:
        """The rule and where it is written."""
        return f"reply rule {self.rule} ({self.origin})"

    @property
    def subject(self) -> str:
        """One for each action on a key: a later one replaces it."""
        return f"{_PREFIX}{token(self.key)}.{self.action}"


class Holds:
    """Those in force. ``clock`` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._holds: dict[str, Hold] = {}
        self._placed: dict[str, tuple[Hold, float]] = {}
        """Our own, and since when a look has to find them in KV (monotonic clock)."""
        self._by_key: dict[str, list[Hold]] = {}
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self.revision = 0
        """Counts the changes."""
        self.on_change: Callable[[], None] = lambda: None

    def of(self, keys: Iterable[str]) -> list[Hold]:
        """Those on any of the keys."""
        if not self._by_key:
            return []
        return [hold for key in keys for hold in self._by_key.get(key, ())]

    def all(self) -> list[Hold]:
        """All of them."""
        return list(self._holds.values())

    async def place(self, broker: Broker, hold: Hold) -> bool:
        """Have it in force, here at once; whether it is new, or lasts longer than one that was there.

        Raises BrokerFailure: then only here.
        """
        known = self._holds.get(hold.subject)
        if known and known.until >= hold.until - 1 and (known.amount, known.per) == (hold.amount, hold.per):
            return False
        self._placed[hold.subject] = hold, float("inf")
        self._use(self._holds | {hold.subject: hold})
        seconds = max(1, round(hold.until - self._clock()))
        body = json.dumps(asdict(hold)).encode()
        await broker.put(Message(hold.subject, body, {"Nats-TTL": f"{seconds}s"}))
        self._placed[hold.subject] = hold, time.monotonic()
        return known is None

    async def keep(self, broker: Broker) -> None:
        """Follow what is placed, lifted and lapses, for ever."""
        async def look_and_say(message: Msg) -> None:
            with contextlib.suppress(BrokerFailure):
                await self.look(broker)
                await broker.publish(message.reply, b"seen")

        await broker.subscribe(f"{_PREFIX}>", self._on_message)
        await broker.subscribe(LIFTED, look_and_say)
        while True:
            self._wake.clear()
            with contextlib.suppress(BrokerFailure):
                await self.look(broker)
            ends = min((hold.until for hold in self._holds.values()), default=float("inf")) - self._clock()
            await wait(self._wake, max(0.05, min(EVERY, ends)))

    async def look(self, broker: Broker) -> None:
        """Take over what is in KV. Raises BrokerFailure."""
        async with self._looking:
            began = time.monotonic()
            there = {hold.subject: hold for hold in await stored(broker)}
            now = self._clock()
            self._placed = {key: one for key, one in self._placed.items() if one[1] >= began and one[0].until > now}
            there |= {key: hold for key, (hold, _) in self._placed.items()}
            found = {key: hold for key, hold in there.items() if hold.until > now}
            if found != self._holds:
                self._use(found)

    async def _on_message(self, _message: Msg) -> None:
        self._wake.set()

    def _use(self, holds: dict[str, Hold]) -> None:
        self._holds, self._by_key = holds, {}
        for hold in holds.values():
            self._by_key.setdefault(hold.key, []).append(hold)
        self.revision += 1
        self.on_change()


async def stored(broker: Broker) -> list[Hold]:
    """All holds that lie in KV. Raises BrokerFailure."""
    found = []
    async for message in walk(broker, STREAM, f"{_PREFIX}>"):
        try:
            found.append(Hold(**json.loads(message.body)))
        except (ValueError, TypeError, RecursionError) as error:
            log.error("holds: %s cannot be read: %s", message.subject, error)
    return found


async def lift(broker: Broker, key: str) -> int:
    """End every hold on a key before its time; how many. Back when the live workers know of it.

    Raises BrokerFailure.
    """
    lifted = await broker.purge(STREAM, f"{_PREFIX}{token(key)}.*")
    if workers := len(await leases.live(broker, "worker")):
        answers = broker.replies(LIFTED, key.encode(), PATIENCE)
        with contextlib.suppress(UnknownOutcomeError):
            async with contextlib.aclosing(answers):
                async for message in answers:
                    workers -= 1
                    if not (message.data and workers):  # no data: nobody is there to answer
                        break
    return lifted
