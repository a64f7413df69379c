"""The recorder: what lies in EVENTS goes into ClickHouse, every row exactly once whatever is killed.

The range of stream sequences to insert is written to KV before it is inserted; after a crash exactly this
range is inserted again, with the same deduplication token. What is recorded is purged from the stream.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from typing import Any

import structlog

from common import event, metrics
from common.broker import Broker, BrokerFailure, Message, Stored
from common.counting import count, took
from common.queue import streams
from common.subjects import EVENTS_STREAM
from events.store import NotReachableError, RefusedError, Store

log = structlog.get_logger()

#: Rows of one insert, about; messages and bytes of one page.
ROWS, PAGE, PAGE_BYTES = 20_000, 500, 4 * 2**20
#: Seconds between inserts while little happens: ClickHouse likes few and large ones.
INTERVAL = 0.5
POISON_PAUSE = 30.0
_INTENT = "$KV.intents.recorder"

Row = dict[str, Any]


class UnreadableEventsError(Exception):
    """A message of EVENTS that this version cannot read; it stays where it is."""


class Recorder:
    """Records until ``stopping`` is set and nothing is left; run by whoever holds the lease."""

    def __init__(self, broker: Broker, store: Store, stopping: asyncio.Event) -> None:
        self.broker, self.store, self.stopping = broker, store, stopping
        self._revision = 0

    async def run(self) -> None:
        """Record; what the broker or ClickHouse do meanwhile is waited out."""
        while True:
            try:
                return await self._record_all()
            except BrokerFailure as error:
                log.warning("recorder: broker: %s; trying again", error)
            except UnreadableEventsError as error:
                log.error("recorder: %s; nothing is recorded until a version that can read it runs", error)
                await asyncio.sleep(POISON_PAUSE)
            await asyncio.sleep(1)

    async def _record_all(self) -> None:
        """After any failure it begins again with what was under way: an insert may have been the last thing."""
        next_ = await self._resume()
        while True:
            recorded = await self._step(next_)
            if recorded:
                next_ = recorded + 1
            elif self.stopping.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), INTERVAL)

    async def _resume(self) -> int:
        """Repeat what was under way; the sequence to go on with."""
        stored = await self.broker.last("KV_intents", _INTENT)
        created = await streams.created(self.broker, EVENTS_STREAM)
        self._revision = stored.sequence if stored else 0
        if stored is None:
            return 1
        intent = json.loads(stored.body)
        if intent["stream"] != created:  # a new store: its numbers start again
            return 1
        messages = await self._read(intent["first"], intent["last"])
        await self._record(created, intent["first"], intent["last"], messages)
        return int(intent["last"]) + 1

    async def _step(self, next_: int) -> int:
        """Record what has come since; the last sequence recorded, or 0."""
        messages = await self._read(next_, None)
        if not messages:
            return 0
        first, last = messages[0].sequence, messages[-1].sequence
        created = await streams.created(self.broker, EVENTS_STREAM)
        intent = json.dumps({"stream": created, "first": first, "last": last}).encode()
        # fenced: a recorder that lost its lease unnoticed is refused, and looks again
        headers = {"Nats-Expected-Last-Subject-Sequence": str(self._revision)}
        self._revision = await self.broker.put(Message(_INTENT, intent, headers))
        await self._record(created, first, last, messages)
        return last

    async def _read(self, first: int, last: int | None) -> list[Stored]:
        """The messages of a range, or with no end as many as one insert takes."""
        found: list[Stored] = []
        rows = 0
        while last is not None or rows < ROWS:
            query = {"seq": first, "batch": PAGE, "max_bytes": PAGE_BYTES, "next_by_subj": "e.>"}
            page = await self.broker.page(EVENTS_STREAM, query)
            wanted = [stored for stored in page if last is None or stored.sequence <= last]
            found += wanted
            rows += sum(len(stored.body) for stored in wanted) // 300  # a row is about so many bytes
            if not page or len(wanted) < len(page):
                break
            first = page[-1].sequence + 1
        return found

    async def _record(self, created: str, first: int, last: int, messages: list[Stored]) -> None:
        rows = [row for stored in messages for row in _rows(stored)]
        if rows:
            await self._insert(rows, f"{created}.{first}.{last}")
        await self.broker.api(f"STREAM.PURGE.{EVENTS_STREAM}", {"seq": last + 1})

    async def _insert(self, rows: list[Row], token: str) -> None:
        while True:
            started = time.monotonic()
            try:
                await asyncio.to_thread(self.store.insert, rows, token)
                took(metrics.EVENTS_INSERT_SECONDS, time.monotonic() - started, "inserted")
                for type_, number in Counter(row["type"] for row in rows).items():
                    count(metrics.EVENTS_RECORDED, type_, by=number)
                return
            except (NotReachableError, RefusedError) as error:
                took(metrics.EVENTS_INSERT_SECONDS, time.monotonic() - started, "failed")
                log.warning("recorder: %s rows not inserted yet: %s", len(rows), error)
            await asyncio.sleep(1)


def _rows(stored: Stored) -> list[Row]:
    try:
        rows = event.unpack(stored.body)
    except ValueError as error:
        raise UnreadableEventsError(f"message {stored.sequence} of {EVENTS_STREAM}: {error}") from error
    return [row | {"stream_sequence": stored.sequence, "row_number": i} for i, row in enumerate(rows)]
