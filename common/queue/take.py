"""Taking entries: standing pulls on the lanes' consumers, small local buffers, bands 8:3:1.

Everything taken stays unacked until it is finished (``finish``), with a sign of life every 10 s. What
cannot go now is parked by the worker; beyond a bound only reply and sequence are kept, not the content.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from nats.aio.msg import Msg

from common.broker import Broker, BrokerFailure, UnknownOutcomeError
from common.content import BodyRef
from common.entry import Entry, UnreadableError
from common.queue import reports
from common.queue.bands import Bands
from common.queue.bodies import Bodies
from common.queue.consumers import Consumer
from common.queue.schedule import is_due
from common.queue.taken import Copy, Reader, Taken
from common.subjects import HELD, SCHEDULED, as_kind, bucket_of, queue_stream

log = structlog.get_logger()

PULL, PULL_BYTES, PULL_EXPIRES = 8, 2 * 2**20, 30.0
IN_PROGRESS_EVERY = 10.0
#: Entries of one bucket that wait here when it has outgrown its lane; that wait of one that is out of it, and of all of
#: those together.
OUTGROWN, OWN_WAITING, ALL_WAITING = 400, 200, 2500
#: When all that wait are too many: buckets of a lane that outgrow it at once, each with so many that wait.
CROWD, FEW = 16, 20
#: Seconds that a schedule may take to fire, looks at it meanwhile.
FIRING_TIME, FIRING_LOOKS = 2.0, 40
#: Seconds by which the broker's clock may be ahead of ours.
SKEW = 1.0


class GoneError(Exception):
    """The entry itself was removed meanwhile: purged or finished by somebody else."""


class Taker:
    """The entries of a worker's lanes."""

    def __init__(self, broker: Broker, pool: str) -> None:
        self.broker, self.pool = broker, pool
        self.stream = queue_stream(pool)
        self.bodies = Bodies(broker, pool)
        self.on_unreadable: Callable[[str, int, bytes, str], None] = _say
        """Told subject, sequence, body and reason of what cannot be read."""
        self.on_deleted: Callable[[], None] = lambda: None
        """Told that a consumer was deleted under us."""
        self.on_outgrown: Callable[[Consumer, int], None] = lambda _consumer, _bucket: None
        """Told when a bucket has outgrown its lane."""
        self._inbox = broker.new_inbox()
        self._readers: dict[str, Reader] = {}
        self._out = 0  # how many of them read a bucket that is out of its lane
        self._ready: Bands[Taken] = Bands()
        self._held: dict[str, Taken] = {}
        self._arrived = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the inbox that pulls are answered to; one subject per consumer names it in every message."""
        await self.broker.subscribe(f"{self._inbox}.*", self._on_message)

    # --- what lanes tell ---

    async def read(self, consumer: Consumer) -> None:
        """Read a consumer. A new incarnation of it hands out again what the old one had handed out."""
        reader = self._readers.get(consumer.name)
        if reader is None or reader.consumer != consumer:
            self._drop(consumer.name)
            reader = self._readers[consumer.name] = Reader(consumer, on_room=self._has_room)
            self._count_out()
        reader.asked = 0
        await self._pull(reader)

    async def leave(self, name: str, give_back: bool = True) -> None:
        """Stop reading a consumer; what has not begun goes back to the broker, at once where it is ours to give."""
        gone = self._drop(name)
        reader = self._readers.pop(name, None)
        self._count_out()
        if reader and reader.watchdog:
            reader.watchdog.cancel()
        for copy in (copy for taken in gone for copy in taken.copies) if give_back else ():
            with contextlib.suppress(BrokerFailure):
                await self.broker.publish(copy.reply, b"-NAK")

    async def leave_all(self) -> None:
        """Stop reading."""
        for name in list(self._readers):
            await self.leave(name)

    def _drop(self, name: str) -> list[Taken]:
        """Forget what was taken from a consumer and has not begun."""
        gone = [t for t in self._held.values() if t.copies[0].reader.consumer.name == name and not t.begun]
        for taken in gone:
            taken.dropped = True
            taken.waits_no_more()
            del self._held[taken.entry.id]
        return gone

    # --- taking ---

    async def take(self) -> Taken:
        """The next entry by band and priority; waits for one."""
        while True:
            self._arrived.clear()
            while self._ready:
                taken = self._ready.pop()
                reader = taken.copies[0].reader
                reader.buffered -= 1
                await self._refill(reader)
                if not taken.dropped:
                    return taken
            await self._arrived.wait()

    async def is_current(self, taken: Taken) -> bool:
        """Whether an entry that may have been tried before still counts; if not, it is dropped and acked.

        Its deferral comes first: a schedule that fires stores the entry before it goes, so whoever looks
        at ``s.`` and then at ``q.`` misses neither. While it fires both are there, and this copy may be the
        one that it stored: then its end is waited for. Raises UnknownOutcomeError when it does not come.
        One whose sender has been sent a report has ended.
        """
        if not taken.maybe_tried:
            return True
        for _ in range(FIRING_LOOKS):
            twin = await self.broker.last(self.stream, as_kind(SCHEDULED, taken.subject))
            if twin is None:
                break
            if not is_due(twin.headers, time.time() + SKEW):
                return False
            await asyncio.sleep(FIRING_TIME / FIRING_LOOKS)
        else:
            raise UnknownOutcomeError("its schedule is due and has not fired yet")
        if await self.broker.last(self.stream, as_kind(HELD, taken.subject)):
            return False
        latest, report = await asyncio.gather(
            self.broker.last(self.stream, taken.subject), reports.find(self.broker, taken.entry)
        )
        return latest is not None and latest.sequence == taken.sequence and report is None

    async def content(self, taken: Taken) -> bytes:
        """The stored content of an entry, wherever it lies. Raises GoneError and what bodies raise."""
        entry = taken.entry
        if isinstance(entry.content, bytes):
            return entry.content
        if isinstance(entry.content, BodyRef):
            return await self.bodies.get(entry.submission, entry.content)
        stored = await self.broker.at(self.stream, taken.sequence)
        if stored is None:
            raise GoneError(f"entry {entry.id} is not in the queue any more")
        taken.entry = Entry.unpack(stored.body)
        return await self.content(taken)

    async def give_back(self, copy: Copy) -> None:
        """Have the broker hand out again what was dropped, if its consumer is still ours to read."""
        if self.is_read(copy):
            with contextlib.suppress(BrokerFailure):
                await self.broker.publish(copy.reply, b"-NAK")

    def shed(self, taken: Taken) -> None:
        """Let go of content in the entry; ``content`` fetches it again."""
        if isinstance(taken.entry.content, bytes):
            taken.entry = taken.entry.but(content=None)

    def finished(self, taken: Taken) -> None:
        """The entry is out of our hands: no more signs of life."""
        if self._held.get(taken.entry.id) is taken:
            del self._held[taken.entry.id]
        taken.waits_no_more()

    @property
    def held(self) -> int:
        """How many entries are unacked on our behalf."""
        return len(self._held)

    def holding(self) -> set[str]:
        """The names of the consumers that handed out what is still being worked on."""
        return {copy.reader.consumer.name for taken in self._held.values() for copy in taken.copies}

    def is_read(self, copy: Copy) -> bool:
        """Whether an ack through the consumer that handed out this copy still removes it."""
        return self._readers.get(copy.reader.consumer.name) is copy.reader

    async def in_progress(self) -> None:
        """Say every 10 s that everything held, buffered and parked too, is being worked on; for ever."""
        while True:
            await asyncio.sleep(IN_PROGRESS_EVERY)
            with contextlib.suppress(BrokerFailure):
                for taken in list(self._held.values()):
                    await self.broker.publish(taken.copies[-1].reply, b"+WPI")

    def crowded(self) -> None:
        """No more can wait here: the buckets of which most waits have outgrown their lanes."""
        for reader in self._readers.values():
            for bucket, waiting in reader.waiting.most_common(CROWD) if reader.consumer.bucket is None else ():
                if waiting >= FEW:
                    self.on_outgrown(reader.consumer, bucket)

    # --- pulling ---

    async def _refill(self, reader: Reader) -> None:
        wanted = reader.consumer.bucket is None or reader.waiting.total() < self._share()
        is_low = reader.asked + reader.buffered <= PULL // 2
        if wanted and is_low and self._readers.get(reader.consumer.name) is reader:
            await self._pull(reader)

    def _has_room(self, reader: Reader) -> None:
        """What waits of a bucket that is out of its lane has become less."""
        if reader.consumer.bucket is not None and reader.waiting.total() <= self._share() // 2:
            self._spawn(self._refill(reader))

    def _count_out(self) -> None:
        self._out = sum(reader.consumer.bucket is not None for reader in self._readers.values())

    def _share(self) -> int:
        """How much may wait of a bucket that is out of its lane."""
        return min(OWN_WAITING, ALL_WAITING // max(1, self._out))

    async def _pull(self, reader: Reader) -> None:
        name = reader.consumer.name
        batch = PULL - reader.asked - reader.buffered
        if batch > 0:
            request = {"batch": batch, "max_bytes": PULL_BYTES, "expires": int(PULL_EXPIRES * 1e9)}
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{name}"
            with contextlib.suppress(BrokerFailure):
                reader.asked += batch
                await self.broker.publish(subject, json.dumps(request).encode(), reply=f"{self._inbox}.{name}")
        if reader.watchdog:
            reader.watchdog.cancel()
        reader.watchdog = asyncio.get_running_loop().call_later(PULL_EXPIRES + 2, self._ask_again, reader)

    def _ask_again(self, reader: Reader) -> None:
        """No word for longer than a pull lives: whatever was asked for will not come."""
        if self._readers.get(reader.consumer.name) is reader:
            reader.asked = 0
            self._spawn(self._refill(reader))

    def _spawn(self, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _on_message(self, message: Msg) -> None:
        if not message.reply:
            await self._on_status(message.subject.rpartition(".")[2], message.headers or {})
            return
        reader = self._readers.get(message.metadata.consumer)
        if reader is None:
            with contextlib.suppress(BrokerFailure):
                await self.broker.publish(message.reply, b"-NAK")
            return
        reader.asked -= 1
        self._on_entry(reader, message)
        await self._refill(reader)

    async def _on_status(self, name: str, headers: dict[str, str]) -> None:
        """The end of a pull: 408 expired, 409 consumer gone or byte bound reached, 503 no JetStream."""
        reader = self._readers.get(name)
        status = headers.get("Status", "")
        if reader is None or status == "100":
            return
        if "Deleted" in headers.get("Description", ""):
            await self.leave(name, give_back=False)
            self.on_deleted()
            return
        if status == "503":
            return  # after the reconnection lanes looks at every consumer
        reader.asked = max(0, reader.asked - int(headers.get("Nats-Pending-Messages", reader.asked)))
        await self._refill(reader)

    def _on_entry(self, reader: Reader, message: Msg) -> None:
        metadata = message.metadata
        copy = Copy(metadata.sequence.stream, message.reply, reader)
        try:
            entry = Entry.unpack(message.data)
        except UnreadableError as error:
            self.on_unreadable(message.subject, copy.sequence, message.data, str(error))
            return
        known = self._held.get(entry.id)
        if known and not (known.deferring and copy.sequence != known.sequence):
            known.copies.append(copy)
            return
        tried = (
            metadata.num_delivered > 1
            or copy.sequence <= reader.consumer.handed
            or metadata.timestamp.timestamp() <= reader.since
        )
        taken = Taken(message.subject, entry, [copy], tried)
        self._held[entry.id] = taken
        self._ready.push(entry.priority, taken)
        reader.buffered += 1
        self._arrived.set()
        bucket = bucket_of(message.subject)
        reader.waiting[bucket] += 1
        if reader.waiting[bucket] == OUTGROWN and reader.consumer.bucket is None:
            self.on_outgrown(reader.consumer, bucket)


def _say(subject: str, _sequence: int, _body: bytes, reason: str) -> None:
    log.error("queue: %s cannot be read: %s", subject, reason)
