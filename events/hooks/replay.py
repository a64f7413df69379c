"""Recorded events once more, from ClickHouse through the same queue, under the same ids."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from common.broker import Broker, Message
from common.event import Type
from common.ids import new_id
from common.thread import in_thread
from common.webhook import Webhook
from events.hooks import queue
from events.hooks.payload import COLUMNS, identifier, payload
from events.hooks.queue import Hook, Room
from events.hooks.wanted import OF_MAIL, Row, wants
from events.store import TIMES, NoTableError, Store

#: Events of one query.
PAGE = 2000
_SQL = (
    f"SELECT {', '.join(COLUMNS)} FROM events WHERE type IN {{types:Array(String)}}"
    " AND time >= fromUnixTimestamp64Milli({since:Int64})"
    " AND (time, id) > (fromUnixTimestamp64Milli({since:Int64}), {after:String})"
    " ORDER BY time, id LIMIT {limit:UInt32}"
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many were queued; where no more may wait, the time to go on from (seconds since 1970), else 0."""

    queued: int
    until: float = 0


async def replay(
    broker: Broker, store: Store, endpoint: Webhook, room: Room, since: float, only: Collection[Type] = ()
) -> Replayed:
    """Queue what an endpoint wants of what happened since a time (seconds since 1970), oldest first, if there is room.

    ``only``: of these types. Raises BrokerFailure, NotReachableError, RefusedError.
    """
    types = [str(type_) for type_ in endpoint.types or OF_MAIL if not only or type_ in only]
    await room.look()
    run, queued = f"{new_id()}.", 0
    at, after = int(since * 1000), ""
    while page := await in_thread(lambda at=at, after=after: _read(store, types, at, after)):  # type: ignore[misc]
        wanted = [row for row in page if wants(endpoint, row)]
        bodies = takewhile(lambda body: room.take(endpoint.name, len(body)), map(payload, wanted))
        chosen = [_again(endpoint, row, body, run) for row, body in zip(wanted, bodies, strict=False)]
        await queue.store(broker, chosen)
        queued += len(chosen)
        if len(chosen) < len(wanted):
            return Replayed(queued, wanted[len(chosen)]["time"])
        at, after = round(page[-1]["time"] * 1000), page[-1]["id"]
    return Replayed(queued)


def _again(endpoint: Webhook, row: Row, body: bytes, run: str) -> Message:
    return Hook(endpoint=endpoint.name, id=identifier(row), body=body, since=time.time()).ready(run)


def _read(store: Store, types: list[str], since: int, after: str) -> list[dict[str, Any]]:
    try:
        rows = store.query(_SQL, {"types": types, "since": since, "after": after, "limit": PAGE})
    except NoTableError:
        return []
    times = [name for name in TIMES if name in COLUMNS]
    return [row | {name: max(0.0, row[name].timestamp()) for name in times} for row in rows]
