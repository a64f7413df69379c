"""What users have sent lately: counted over all processes in KV, ``$KV.usage.<hash of the name>``.

A bound of n in a time is counted in slots of a twentieth of that time. What is used in a slot counts until twenty
whole ones have passed, so in any window of that length it is never more than n; who uses all of it steadily gets 20/21.
"""

import json
from collections import defaultdict
from dataclasses import dataclass

from common.broker import Broker, Message
from common.ids import token
from common.units import Rate
from common.users.user import User

STREAM = "KV_usage"
SLOTS = 20
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Bound:
    """At most ``amount`` in any ``per`` seconds."""

    what: str
    """``mails`` or ``recipients``."""
    amount: int
    per: float
    chunk: int
    """How many a process takes at a time, to give away by itself."""

    @property
    def key(self) -> str:
        """Names its counter, which outlives a change of ``amount``."""
        return f"{self.what}/{self.per:g}"

    @property
    def width(self) -> float:
        """Seconds of a slot."""
        return self.per / SLOTS

    def slot(self, now: float) -> int:
        """The number of the slot at a time, in seconds since 1970."""
        return int(now // self.width)

    def __str__(self) -> str:
        return f"{Rate(self.amount, self.per)} {self.what}"


def bounds(user: User) -> list[Bound]:
    """All that hold for a user: its rates and its quota."""
    rates: dict[float, int] = {}
    for rate in user.rate:
        rates[rate.per] = min(rate.amount, rates.get(rate.per, rate.amount))
    found = [Bound("mails", amount, per, amount // 20) for per, amount in rates.items()]
    if user.quota:
        found.append(Bound("recipients", user.quota, DAY, user.quota // 100))
    return found


class Usage:
    """How much of each bound was taken in each slot."""

    def __init__(self, counts: dict[str, dict[int, int]] | None = None) -> None:
        self.counts: defaultdict[str, dict[int, int]] = defaultdict(dict, counts or {})

    def used(self, bound: Bound, now: float) -> int:
        """How much counts now."""
        first = bound.slot(now) - SLOTS
        return sum(count for slot, count in self.counts[bound.key].items() if slot >= first)

    def add(self, bound: Bound, slot: int, count: int) -> None:
        """Count what is taken in a slot; less than 0 is given back."""
        slots = self.counts[bound.key]
        slots[slot] = max(0, slots.get(slot, 0) + count)

    def wait(self, bound: Bound, needed: int, now: float) -> float:
        """Seconds before ``needed`` (at most the bound's amount) can be taken, unless others take it."""
        excess = self.used(bound, now) + needed - bound.amount
        until = now
        for slot, count in sorted(self.counts[bound.key].items()):
            if excess > 0 and slot >= bound.slot(now) - SLOTS:
                excess -= count
                until = (slot + SLOTS + 1) * bound.width
        return until - now

    def pack(self, held: list[Bound], now: float) -> bytes:
        """The stored form (JSON); what does not count any more is left out, counters of bounds that are gone too."""
        kept = {
            bound.key: {
                str(slot): count
                for slot, count in self.counts[bound.key].items()
                if count and slot >= bound.slot(now) - SLOTS
            }
            for bound in held
        }
        return json.dumps(kept).encode()

    @classmethod
    def unpack(cls, body: bytes) -> "Usage":
        """The usage behind a stored form; what is none counts as nothing."""
        try:
            found = json.loads(body)
            return cls({key: {int(slot): int(count) for slot, count in slots.items()} for key, slots in found.items()})
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls()


def subject(name: str) -> str:
    """Where a user's usage lies."""
    return f"$KV.usage.{token(name)}"


async def read(broker: Broker, name: str) -> tuple[Usage, int]:
    """A user's usage and the sequence of its entry, to guard a change. Raises BrokerFailure."""
    stored = await broker.last(STREAM, subject(name))
    return (Usage.unpack(stored.body), stored.sequence) if stored else (Usage(), 0)


async def write(broker: Broker, name: str, body: bytes, sequence: int) -> None:
    """Store a usage, unless somebody else did since ``sequence``.

    Raises BrokerFailure; a BrokerError whose code is in ``WRONG_SEQUENCE`` where somebody did.
    """
    guard = {"Nats-Expected-Last-Subject-Sequence": str(sequence)}
    await broker.put(Message(subject(name), body, guard))


async def forget(broker: Broker, name: str) -> None:
    """A user is removed. Raises BrokerFailure."""
    await broker.purge(STREAM, subject(name))
