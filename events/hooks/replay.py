"""Recorded events once more, from ClickHouse through the same queue, under the same ids."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.broker import Broker
from common.event import Type
from common.ids import new_id
from common.thread import in_thread
from common.webhook import Webhook
from events.hooks import queue
from events.hooks.payload import COLUMNS, identifier, payload
from events.hooks.queue import Hook
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
    broker: Broker, store: Store, endpoint: Webhook, since: float, only: Collection[Type] = ()
) -> Replayed:
    """Queue what an endpoint wants of what happened since a time (seconds since 1970), oldest first.

    ``only``: of these types. Raises BrokerFailure, NotReachableError, RefusedError.
    """
    types = [str(type_) for type_ in endpoint.types or OF_MAIL if not only or type_ in only]
    left = endpoint.max_waiting - await queue.waiting(broker, endpoint.name)
    run, queued = f"{new_id()}.", 0
    at, after = int(since * 1000), ""
    while page := await in_thread(lambda at=at, after=after: _read(store, types, at, after)):  # type: ignore[misc]
        wanted = [row for row in page if wants(endpoint, row)]
        chosen = wanted[:left]
        await queue.store(broker, (hook.ready(run) for hook in _hooks(endpoint, chosen)))
        queued, left = queued + len(chosen), left - len(chosen)
        if len(chosen) < len(wanted):
            return Replayed(queued, wanted[len(chosen)]["time"])
        at, after = round(page[-1]["time"] * 1000), page[-1]["id"]
    return Replayed(queued)


def _hooks(endpoint: Webhook, rows: Sequence[Row]) -> Iterator[Hook]:
    now = time.time()
    for row in rows:
        yield Hook(endpoint=endpoint.name, id=identifier(row), body=payload(row), since=now)


def _read(store: Store, types: list[str], since: int, after: str) -> list[dict[str, Any]]:
    try:
        rows = store.query(_SQL, {"types": types, "since": since, "after": after, "limit": PAGE})
    except NoTableError:
        return []
    times = [name for name in TIMES if name in COLUMNS]
    return [row | {name: max(0.0, row[name].timestamp()) for name in times} for row in rows]
