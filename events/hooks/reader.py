"""The reader: what lies in EVENTS becomes messages to the endpoints that want it, in HOOKS.

It only stores: an endpoint that is dead or slow never holds it up, nor the mail that fills EVENTS. Where it stands is
in KV (``events.positions``), written once all is stored; after a crash it repeats what came after that, under the same
ids. What waits too long for an endpoint is bounded (``queue.Room``): what is above is left out and told of.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import structlog

from common import event, metrics
from common.broker import Broker, BrokerFailure, Message, Stored
from common.counting import count, level
from common.subjects import EVENTS_STREAM
from common.waits import wait
from common.webhook import Webhook
from events import positions
from events.hooks import queue, state
from events.hooks.payload import identifier, payload
from events.hooks.queue import Hook, Room
from events.hooks.state import States
from events.hooks.wanted import Row, types, wants
from events.outage import Outage
from events.positions import Position
from events.story import rfc3339

log = structlog.get_logger()

NAME = "hooks"
#: Seconds between looks, and between tries; messages and bytes of a page.
INTERVAL, RETRY = 0.2, 1.0
PAGE, PAGE_BYTES = 2000, 2**20


class Reader:
    """Reads until ``stopping`` is set; run by whoever holds the lease."""

    def __init__(
        self, broker: Broker, endpoints: Sequence[Webhook], states: States, room: Room, stopping: asyncio.Event
    ) -> None:
        self._broker, self._endpoints, self._states, self._stopping = broker, endpoints, states, stopping
        self._types = types(endpoints)
        self._room = room
        self._full: dict[str, float] = {}
        """Endpoints without room: the earliest time of what was left out. In KV too, for who reads next has to tell."""
        self._outage = Outage()

    async def run(self) -> None:
        """Read on; what the broker does meanwhile is waited out."""
        while not self._stopping.is_set():
            try:
                await self._read_on()
            except BrokerFailure as error:
                if self._outage.goes_on(type(error).__name__):
                    log.warning("webhooks: broker: %s; trying again, nothing is lost", error)
                await wait(self._stopping, RETRY)

    async def _read_on(self) -> None:
        """After any failure it begins again where it stands in KV."""
        position = await positions.read(self._broker, NAME)
        known = await state.read_all(self._broker)
        self._full = {one.name: since for one in self._endpoints if (since := known.get(one.name, state.NEW).full)}
        while not self._stopping.is_set():
            info = await self._broker.api(f"STREAM.INFO.{EVENTS_STREAM}")
            first, last = info["state"]["first_seq"], info["state"]["last_seq"]
            if position is None or position.created != info["created"]:
                beginning = max(1, first) if position is None else 1
                revision = position.revision if position else 0
                position = await self._move(Position(info["created"], beginning, revision))
            if first > position.next:
                await self._tell_of_gap(first - position.next)
                position = await self._move(Position(position.created, first, position.revision))
            for endpoint in self._endpoints:
                level(metrics.WEBHOOK_DISABLED, bool(self._states.get(endpoint.name).disabled), endpoint.name)
            await self._tell_of_room()
            if last >= position.next:
                position = await self._read_page(position)
            else:
                await wait(self._stopping, INTERVAL)
            self._outage.ends()

    async def _read_page(self, position: Position) -> Position:
        query = {"seq": position.next, "batch": PAGE, "max_bytes": PAGE_BYTES, "next_by_subj": "e.>"}
        page = await self._broker.page(EVENTS_STREAM, query)
        if not page:
            return position
        await self._room.look()
        await self._states.look()  # whoever disabled an endpoint before an event came does not get it
        before = self._full.copy()
        await queue.store(self._broker, self._messages(page))
        for name, since in self._full.items() - before.items():
            await state.change(self._broker, name, full=since)
        return await self._move(Position(position.created, page[-1].sequence + 1, position.revision))

    async def _move(self, to: Position) -> Position:
        return await positions.write(self._broker, NAME, to)

    # --- what is stored ---

    def _messages(self, page: Sequence[Stored]) -> Iterator[Message]:
        queued: Counter[str] = Counter()
        now = time.time()
        for row in rows_of(page, self._types):
            wanting = [endpoint for endpoint in self._endpoints if wants(endpoint, row)]
            body = payload(row) if wanting else b""
            for endpoint in wanting:
                if not self._takes(endpoint, row, len(body)):
                    continue
                queued[endpoint.name] += 1
                yield Hook(endpoint=endpoint.name, id=identifier(row), body=body, since=now).ready()
        for name, number in queued.items():
            count(metrics.WEBHOOKS_QUEUED, name, by=number)

    def _takes(self, endpoint: Webhook, row: Row, size: int) -> bool:
        if self._states.get(endpoint.name).disabled:
            count(metrics.WEBHOOKS_LEFT_OUT, endpoint.name, "disabled")
            return False
        if endpoint.name in self._full or not self._room.take(endpoint.name, size):
            self._leave_out(endpoint, row)
            return False
        return True

    def _leave_out(self, endpoint: Webhook, row: Row) -> None:
        count(metrics.WEBHOOKS_LEFT_OUT, endpoint.name, "full")
        if endpoint.name not in self._full:
            log.warning(
                "webhook %s: no room for more to wait (max_waiting %s, or its share of a twentieth of nats.max_store); "
                "events from now on are left out, postjet webhook replay brings them",
                endpoint.name, endpoint.max_waiting,
            )  # fmt: skip
        self._full[endpoint.name] = min(row["time"], self._full.get(endpoint.name, math.inf))

    async def _tell_of_room(self) -> None:
        """Where there is room again: what was left out, and how to bring it."""
        if not self._full:
            return
        await self._room.look()
        for name in [name for name in self._full if self._room.is_there_again(name)]:
            since = rfc3339(self._full[name])
            await self._tell(
                f"webhook {name}: events since {since} were left out, there was no room; "
                f"postjet webhook replay {name} --since {since}"
            )
            await state.change(self._broker, name, full=0.0)
            del self._full[name]

    async def _tell_of_gap(self, messages: int) -> None:
        count(metrics.WEBHOOKS_LEFT_OUT, "", "unread", by=messages)
        await self._tell(
            f"webhooks: {messages} messages of events were purged before they were read, they were more than a quarter "
            "of what EVENTS may have; postjet webhook replay NAME --since … brings them"
        )

    async def _tell(self, text: str) -> None:
        log.warning(text)
        await state.tell(self._broker, text)


def rows_of(page: Sequence[Stored], wanted: frozenset[str]) -> Iterator[Row]:
    """The events of some types in a page; what cannot be read the recorder sets aside."""
    for stored in page:
        try:
            number, columns = event.unpack_columns(stored.body)
        except ValueError:
            continue
        found = columns.get("type", ())
        if wanted.isdisjoint(found) or not {"id", "time"} <= columns.keys():
            continue
        for i in range(number):
            if found[i] in wanted:
                row = {name: values[i] for name, values in columns.items()}
                if isinstance(row["id"], str) and isinstance(row["time"], int | float):
                    yield row
