"""The consumers that read a pool's lanes, in the broker's memory: one for each band of a lane.

A bucket in which much waits (a domain that takes little) is taken out: it gets a consumer of its own, and the one
of its lane goes on without it, so that nobody waits behind it. That is a matter of filters, nothing is rewritten.

A lane's consumer remembers in its metadata which incarnations of workers read it: who takes over when none of them
lives creates it anew, which hands out at once what the dead ones held. Else it reads on: what a living one has
begun must not be handed out again, and what a dead one held comes after ACK_WAIT.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from common.broker import Broker, BrokerError
from common.subjects import bucket_filter, lane_filters, queue_stream

log = structlog.get_logger()

ACK_WAIT = 30.0
MAX_ACK_PENDING = 10_000
#: Buckets that are out of one band of a lane at most, and of all that one worker reads.
MOST_OUT, ALL_OUT = 64, 256
_READERS, _OUT, _SINCE, _HANDED = "postjet_readers", "postjet_out", "postjet_since", "postjet_handed"
_NOT_THERE_TO_UPDATE = 10149

Key = tuple[int, str]
"""A lane and a band."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A consumer in the broker. ``created`` (RFC 3339) tells it from an earlier one of the same name."""

    name: str
    created: str
    bucket: int | None = None
    """The one it reads, of a consumer of its own."""
    since: str = field(default="", compare=False)
    """What was stored later, and has a sequence above ``handed``, nobody can have tried before."""
    handed: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a lane's band is read: what is out of it, and what its former consumers had handed out."""

    out: frozenset[int] = frozenset()
    since: str = ""
    handed: int = 0

    @classmethod
    def of(cls, info: dict[str, Any]) -> "_Shape":
        metadata = info["config"].get("metadata", {})
        out = frozenset(map(int, metadata.get(_OUT, "").split()))
        return cls(out, metadata.get(_SINCE, ""), int(metadata.get(_HANDED, 0)))

    def metadata(self) -> dict[str, str]:
        return {_OUT: " ".join(map(str, sorted(self.out))), _SINCE: self.since, _HANDED: str(self.handed)}


class Consumers:
    """The consumers of one pool, as one worker (``incarnation``) makes and leaves them."""

    def __init__(self, broker: Broker, pool: str, incarnation: str, alive: Callable[[], Awaitable[set[str]]]) -> None:
        """``alive`` tells which incarnations of workers live."""
        self.broker, self.pool, self.incarnation, self._alive = broker, pool, incarnation, alive
        self.stream = queue_stream(pool)
        self.lanes = 0
        """How many lanes the pool has."""
        self._shapes: dict[Key, _Shape] = {}
        """Of consumers that we deleted, to be made again."""

    async def ensure(self, key: Key) -> list[Consumer]:
        """Make what is not there, and read along; the lane's own consumer first. Raises what ``Broker.api`` raises."""
        name, readers = name_of(key), {self.incarnation}
        shape = self._shapes.get(key, _Shape())
        if info := await self._info(name):
            known = _readers(info)
            if known != readers:
                known &= await self._alive()  # asked last: who made it a moment ago had a lease before
                readers |= known
            if known:
                shape = _Shape.of(info)
            else:
                await self._delete(name)
                info = None
        if not info:
            await self._delete_own(name, but=shape.out if key in self._shapes else frozenset())
        # of one that is there only the metadata changes
        made = await self._create(name, self._filters(key, shape), shape.metadata() | {_READERS: _joined(readers)})
        self._shapes.pop(key, None)
        since = shape.since or made["created"]
        consumers = [Consumer(name, made["created"], None, since, shape.handed)]
        for bucket in sorted(shape.out):
            own = own_name(key, bucket)
            made = await self._create(own, [bucket_filter(self.pool, bucket, key[1])], {})
            consumers.append(Consumer(own, made["created"], bucket, since, shape.handed))
        return consumers

    async def reshape(self, key: Key, out: Sequence[int], back: Sequence[Consumer]) -> None:
        """Take buckets out, and let the lane read others again: the consumers concerned go, ``ensure`` makes new ones.

        The caller reads them no more, and nobody else does (``may_reshape``). Raises what ``Broker.api`` raises.
        """
        gone = [name_of(key), *(consumer.name for consumer in back)]
        infos = {name: info for name in gone if (info := await self._info(name))}
        if name_of(key) not in infos:
            return
        old = _Shape.of(infos[name_of(key)])
        handed = max([old.handed, *(info["delivered"]["stream_seq"] for info in infos.values())])
        left = (old.out | set(out)) - {consumer.bucket for consumer in back}
        self._shapes[key] = _Shape(left, old.since or infos[name_of(key)]["created"], handed)
        for name in reversed(gone):
            await self._delete(name)

    async def is_idle(self, consumer: Consumer) -> bool:
        """Whether nothing waits for it, and nobody is at what it handed out."""
        info = await self._info(consumer.name)
        return info is not None and not info["num_pending"] and not info["num_ack_pending"]

    async def may_reshape(self, key: Key) -> bool:
        """Whether nobody else reads it, who would be handed again what he has begun."""
        info = await self._info(name_of(key))
        if info is None or self.incarnation not in (readers := _readers(info)):
            return False
        others = readers - {self.incarnation}
        return not others or not others & await self._alive()

    async def strike_off(self, key: Key) -> bool:
        """We hold nothing of it any more: whoever reads it is now alone. False: nobody has come yet."""
        name = name_of(key)
        if not (info := await self._info(name)):
            return True
        known = _readers(info)
        if not (others := known - {self.incarnation}):
            return False
        if others != known:
            shape = _Shape.of(info)
            metadata = shape.metadata() | {_READERS: _joined(others)}
            try:
                await self._create(name, self._filters(key, shape), metadata, action="update")
            except BrokerError as error:
                if error.code not in BrokerError.NOT_FOUND | {_NOT_THERE_TO_UPDATE}:
                    raise
        return True

    # --- how ---

    def _filters(self, key: Key, shape: _Shape) -> list[str]:
        return lane_filters(self.pool, key[0], self.lanes, key[1], shape.out)

    async def _info(self, name: str) -> dict[str, Any] | None:
        try:
            return await self.broker.api(f"CONSUMER.INFO.{self.stream}.{name}")
        except BrokerError as error:
            if error.code not in BrokerError.NOT_FOUND:
                raise
            return None

    async def _delete(self, name: str) -> None:
        try:
            await self.broker.api(f"CONSUMER.DELETE.{self.stream}.{name}")
        except BrokerError as error:
            if error.code not in BrokerError.NOT_FOUND:
                raise

    async def _delete_own(self, name: str, but: frozenset[int]) -> None:
        """Those of buckets that were out of a lane whose consumer is gone: two may not read the same."""
        found: list[str] = []
        while True:
            page = await self.broker.api(f"CONSUMER.NAMES.{self.stream}", {"offset": len(found)})
            found += page.get("consumers") or ()
            if len(found) >= page["total"]:
                break
        for own in found:
            lane, _, bucket = own.partition("-")
            if lane == name and bucket and int(bucket) not in but:
                await self._delete(own)

    async def _create(
        self, name: str, filters: list[str], metadata: dict[str, str], action: str = ""
    ) -> dict[str, Any]:
        definition: dict[str, Any] = {
            "stream_name": self.stream,
            "config": {
                "name": name,
                "durable_name": name,
                "filter_subjects": filters,
                "ack_policy": "explicit",
                "deliver_policy": "all",
                "replay_policy": "instant",
                "ack_wait": int(ACK_WAIT * 1e9),
                "max_ack_pending": MAX_ACK_PENDING,
                "max_deliver": -1,
                "mem_storage": True,
                "num_replicas": 1,
                "metadata": metadata,
            },
        }
        if action:
            definition["action"] = action
        return await self.broker.api(f"CONSUMER.CREATE.{self.stream}.{name}", definition)


def name_of(key: Key) -> str:
    """The name of a lane's consumer."""
    return f"lane{key[0]}{key[1]}"


def own_name(key: Key, bucket: int) -> str:
    """The name of the consumer of a bucket that is out of its lane."""
    return f"{name_of(key)}-{bucket}"


def _readers(info: dict[str, Any]) -> set[str]:
    """The incarnations that a consumer's metadata names."""
    return set(info["config"].get("metadata", {}).get(_READERS, "").split())


def _joined(readers: set[str]) -> str:
    return " ".join(sorted(readers))
