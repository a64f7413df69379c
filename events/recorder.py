"""The recorder: what lies in EVENTS goes into ClickHouse, every row exactly once whatever is killed.

The range of stream sequences to insert is written to KV (``common.queue.recorded``) before it is inserted; after a
crash exactly this range is inserted again, with the same deduplication token. What is recorded is purged from the
stream, once other readers have it too (``positions``); until then an empty range behind it says that it is. What was
recorded before is left out.

A range in which ClickHouse refuses a value goes in narrower ones, down to a message, then its rows go one by
one: what is still refused is set aside with its reason, as is a message that cannot be read. What would befall
any row is waited out.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import structlog

from common.broker import Broker, BrokerFailure, Message, NoBrokerError
from common.errors import PostjetError
from common.queue import recorded, streams
from common.subjects import EVENTS_STREAM
from common.thread import in_thread
from common.units import format_duration, format_size
from events import positions
from events.batch import Batch, Piece, piece
from events.conceal import Concealer
from events.outage import Outage
from events.recent import Recent
from events.store import RowsError, Store
from events.write import write, write_by_row

log = structlog.get_logger()

#: Bytes of one insert, about 20,000 rows, and messages at most; messages and bytes of one page.
RANGE_BYTES, MESSAGES, PAGE, PAGE_BYTES = 8 * 2**20, 20_000, 2000, 4 * 2**20
#: Seconds between inserts after few messages and after MANY: ClickHouse likes few and large ones; between tries.
INTERVAL, BUSY_INTERVAL, RETRY = 0.5, 2.0, 1.0
MANY = 50
#: Seconds that an insert under way has when the process is to end.
GRACE = 20.0

#: As ``common.queue.recorded`` has it.
Intent = dict[str, Any]


class _StoppingError(Exception):
    """Told to stop while nothing can be recorded; what is not recorded stays in EVENTS."""


class Recorder:
    """Records until ``stopping`` is set and nothing is left; run by whoever holds the lease."""

    def __init__(
        self,
        broker: Broker,
        store: Store,
        stopping: asyncio.Event,
        *,
        prepare: Callable[[], None] = lambda: None,
        conceal: Concealer | None = None,
    ) -> None:
        """``prepare`` blocks, before the first new range, while nothing is under way; it raises what a store raises.

        ``conceal`` hashes recipients.
        """
        self.broker, self.store, self.stopping = broker, store, stopping
        self._prepare, self._conceal = prepare, conceal
        self._intent, self._revision = Intent(), 0
        self._most = MESSAGES
        """Messages of a range: fewer after a refusal, more again after that."""
        self._recorded = self._purged = 0
        """What lies before these sequences is recorded, and is purged."""
        self._broker_outage, self._outage = Outage(), Outage()
        self._recent = Recent(store)

    async def run(self) -> None:
        """Record; what the broker or ClickHouse do meanwhile is waited out, unless it is time to stop."""
        while True:
            try:
                await self._record_all()
                return
            except _StoppingError:
                return
            except BrokerFailure as error:
                if self.stopping.is_set() and isinstance(error, NoBrokerError):
                    return
                if self._broker_outage.goes_on(type(error).__name__):
                    log.warning("recorder: broker: %s; trying again", error)
            await asyncio.sleep(RETRY)

    async def _record_all(self) -> None:
        """After any failure it begins again with what was under way: an insert may have been the last thing."""
        self._recent = Recent(self.store)
        self._recorded = self._purged = 0
        next_ = await self._resume()
        await self._surely(self._prepare, [])
        while True:
            pieces, more = await self._read(next_, None)
            self._broker_outage.ends()
            if pieces:
                created = await streams.created(self.broker, EVENTS_STREAM)
                intent = {"stream": created, "first": pieces[0].sequence, "last": pieces[-1].sequence}
                await self._intend(intent)
                next_ = 1 + await self._record(intent, pieces)
            elif self.stopping.is_set():
                return
            elif self._purged < self._recorded:
                await self._purge()
            if not more:
                await self._pause(INTERVAL if len(pieces) < MANY else BUSY_INTERVAL)

    async def _resume(self) -> int:
        """Repeat what was under way; the sequence to go on with."""
        stored = await self.broker.last(recorded.STREAM, recorded.SUBJECT)
        self._revision = stored.sequence if stored else 0
        if stored is None:
            return 1
        intent = self._intent = json.loads(stored.body)
        if intent["stream"] != await streams.created(self.broker, EVENTS_STREAM):  # its numbers start again
            return 1
        pieces, _ = await self._read(intent["first"], intent["last"])
        return 1 + await self._record(intent, pieces)

    async def _read(self, first: int, last: int | None) -> tuple[list[Piece], bool]:
        """The messages of a range, or with no end as many as one insert takes; whether there may be more."""
        found: list[Piece] = []
        size = 0
        while last is not None or (size < RANGE_BYTES and len(found) < self._most):
            query = {"seq": first, "batch": PAGE, "max_bytes": PAGE_BYTES, "next_by_subj": "e.>"}
            page = await self.broker.page(EVENTS_STREAM, query)
            wanted = [piece(stored) for stored in page if last is None or stored.sequence <= last]
            found += wanted
            size += sum(len(one.body) for one in wanted)
            if not page or len(wanted) < len(page):
                break
            first = page[-1].sequence + 1
        else:
            return found[: self._most], True
        return found, False

    async def _intend(self, intent: Intent) -> None:
        """Fenced: a recorder that lost its lease unnoticed is refused, and looks again."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(self._revision)}
        self._revision = await self.broker.put(Message(recorded.SUBJECT, json.dumps(intent).encode(), headers))
        self._intent = intent

    async def _record(self, intent: Intent, pieces: list[Piece]) -> int:
        """Write what was intended, or the beginning of it where it is refused; the last sequence recorded."""
        while True:
            try:
                await self._write(intent, pieces)
                break
            except RowsError:  # nothing of it is stored, so another intent may take its place
                if len(pieces) > 1:
                    self._most = len(pieces) // 2
                    pieces = pieces[: self._most]
                    intent = intent | {"last": pieces[-1].sequence}
                else:
                    intent = intent | {"by_row": True}
                await self._intend(intent)
        self._recent.add(pieces)
        self._most = min(2 * self._most, MESSAGES)
        last = int(intent["last"])
        self._recorded = last + 1
        await self._purge()
        return last

    async def _purge(self) -> None:
        """Remove what is recorded, but for what another reader has not read yet; of that say that it is recorded."""
        before = await positions.may_go(self.broker, self._recorded)
        if before > self._purged:
            await self.broker.api(f"STREAM.PURGE.{EVENTS_STREAM}", {"seq": before})
            self._purged = before
        if before < self._recorded != self._intent["first"]:
            stream = self._intent["stream"]
            await self._intend({"stream": stream, "first": self._recorded, "last": self._recorded - 1})

    async def _write(self, intent: Intent, pieces: list[Piece]) -> None:
        """Into ClickHouse, however long that takes. Raises RowsError, _StoppingError."""
        how = write_by_row if intent.get("by_row") else write
        token = f"{intent['stream']}.{intent['first']}.{intent['last']}"

        def work() -> None:
            how(self.store, intent["stream"], self._recent.without(pieces), token, self._conceal)

        await self._surely(work, pieces)

    async def _surely(self, work: Callable[[], None], pieces: list[Piece]) -> None:
        """``work`` in a thread, again until it is done. Raises RowsError, _StoppingError."""
        while True:
            try:
                await self._in_thread(work)
                break
            except RowsError:
                raise
            except PostjetError as error:
                if self._outage.goes_on(type(error).__name__):
                    log.warning("recorder: %s; %s, nothing is lost; trying again", error, await self._waiting(pieces))
            await self._pause(RETRY)
            if self.stopping.is_set():
                raise _StoppingError
        if (seconds := self._outage.ends()) is not None:
            after = format_duration(seconds)
            log.info("recorder: ClickHouse takes events again after %s; %s", after, await self._waiting(pieces))

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Raises _StoppingError when there is no answer some time after one was told to stop."""
        task, stopping = asyncio.ensure_future(in_thread(work)), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([task], timeout=GRACE)
            if not task.done():
                raise _StoppingError
            task.result()
        finally:
            task.cancel()
            stopping.cancel()

    async def _waiting(self, pieces: list[Piece]) -> str:
        """How much is not recorded, judged by the messages at hand."""
        state = (await self.broker.api(f"STREAM.INFO.{EVENTS_STREAM}"))["state"]
        rows = Batch(pieces).rows * state["messages"] // max(1, len(pieces))
        return f"about {rows} events wait ({format_size(state['bytes'])})"

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
