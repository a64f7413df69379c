"""What ClickHouse knows of deliveries, for what comes back. While it is away everybody waits.

Questions that come while one is asked go together in the next.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog

from common.broker import Broker, BrokerFailure
from common.clickhouse import Database, NoTableError
from common.entry import TOLD
from common.errors import PostjetError
from common.ids import id_time
from common.queue import recorded
from common.subjects import EVENTS_STREAM
from common.thread import in_thread

log = structlog.get_logger()

#: Seconds between tries.
RETRY = 0.5
#: Keys of one question.
MOST = 500
#: Seconds by which the clocks of two machines may differ.
SKEW = 60.0

_COLUMNS = ("submission", "delivery", "type", "pool", "source_address", "recipients", "site", "provider", *TOLD)
_DELIVERIES = f"""
SELECT {", ".join(_COLUMNS)} FROM events
WHERE submission IN {{submissions:Array(String)}} AND time >= toDateTime64({{since:Float64}}, 3)
    AND (type = 'accepted'
        OR (delivery IN {{keys:Array(String)}} AND type IN ('delivered', 'deferred', 'bounced', 'expired')))
ORDER BY time
"""
_MESSAGES = """
SELECT message_id, envid, submission, recipients FROM events
WHERE (message_id IN {keys:Array(String)} OR envid IN {keys:Array(String)})
    AND type = 'accepted' AND time >= toDateTime64({since:Float64}, 3)
ORDER BY time
"""
_TOLD = """
SELECT DISTINCT id FROM events WHERE id IN {keys:Array(String)} AND time >= toDateTime64({since:Float64}, 3)
"""
_ACCEPTED = """
SELECT DISTINCT submission FROM events
WHERE submission IN {keys:Array(String)} AND time >= toDateTime64({since:Float64}, 3)
"""

Key = TypeVar("Key")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What events say of a delivery; fields are those of ``common.event.Event``."""

    submission: str
    delivery: str
    pool: str = ""
    source_address: str = ""
    sender: str = ""
    recipient: str = ""
    domain: str = ""
    site: str = ""
    provider: str = ""
    campaign: str = ""
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = field(default_factory=dict)
    message_id: str = ""
    size: int = 0
    priority: int = 0
    interface: str = ""
    client_address: str = ""
    webhook: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission, and its recipients in the order of its deliveries."""

    submission: str
    recipients: tuple[str, ...]


class _Asking(Generic[Key, Answer]):
    """Asks for many at once what each wants to know of one key; no answer is None."""

    def __init__(self, ask: Callable[[list[Key]], Awaitable[dict[Key, Answer]]]) -> None:
        self._ask = ask
        self._waiting: dict[Key, asyncio.Future[Answer | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def of(self, key: Key) -> Answer | None:
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(waiting)

    async def _run(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:MOST]
            asked = {key: self._waiting.pop(key) for key in keys}
            try:
                found = await self._ask(keys)
            except Exception as error:
                for future in asked.values():
                    future.set_exception(error)
                    future.exception()  # whoever asked may be gone
                continue
            for key, future in asked.items():
                future.set_result(found.get(key))


class History:
    """Asks the events' database."""

    def __init__(self, database: Database, broker: Broker, valid: float) -> None:
        """``valid``: for how many seconds Message-IDs and envelope ids are remembered."""
        self._database, self._broker, self._valid = database, broker, valid
        self._deliveries = _Asking(self._ask_deliveries)
        self._messages = _Asking(self._ask_messages)
        self._told = _Asking(self._ask_told)
        self._accepted = _Asking(self._ask_accepted)
        self._away = ""

    async def delivery(self, id_: str) -> Delivery | None:
        """A delivery by its id."""
        return await self._deliveries.of(id_)

    async def messages(self, name: str) -> list[Accepted]:
        """The submissions of the last weeks with a Message-ID, or with an envelope id of their sender's."""
        return await self._messages.of(name) or []

    async def has_row(self, id_: str) -> bool:
        """Whether an event with this id is recorded."""
        return bool(await self._told.of(id_))

    async def has_submission(self, id_: str) -> bool:
        """Whether anything is recorded of a submission."""
        return bool(await self._accepted.of(id_))

    async def caught_up(self) -> None:
        """Wait until all that has happened by now is recorded; others may have to read it still."""
        last: int | None = None
        while True:
            try:
                info = await self._broker.api(f"STREAM.INFO.{EVENTS_STREAM}")
                state = info["state"]
                last = state["last_seq"] if last is None else last
                if not state["messages"] or state["first_seq"] > last:
                    return
                if await recorded.before(self._broker, info["created"]) > last:
                    return
            except BrokerFailure as error:
                log.debug("feedback: %s", error)
            await asyncio.sleep(RETRY / 2)

    # --- how ---

    async def _ask_deliveries(self, ids: list[str]) -> dict[str, Delivery]:
        submissions = sorted({id_.partition("-")[0] for id_ in ids})
        rows = await self._query(_DELIVERIES, ids, min(map(id_time, submissions)), submissions=submissions)
        return {id_: known for id_ in ids if (known := _known(id_, rows))}

    async def _ask_messages(self, ids: list[str]) -> dict[str, list[Accepted]]:
        found: dict[str, list[Accepted]] = {}
        for row in await self._query(_MESSAGES, ids, time.time() - self._valid):
            for name in {row["message_id"], row["envid"]}.intersection(ids):
                found.setdefault(name, []).append(Accepted(row["submission"], tuple(row["recipients"])))
        return found

    async def _ask_told(self, ids: list[str]) -> dict[str, bool]:
        rows = await self._query(_TOLD, ids, min(map(id_time, ids)))
        return {row["id"]: True for row in rows}

    async def _ask_accepted(self, ids: list[str]) -> dict[str, bool]:
        rows = await self._query(_ACCEPTED, ids, min(map(id_time, ids)))
        return {row["submission"]: True for row in rows}

    async def _query(self, sql: str, keys: list[str], since: float, **more: Any) -> list[dict[str, Any]]:
        """Ask until there is an answer; ``since`` is by the clock of who made an id."""
        parameters = {"keys": keys, "since": since - SKEW, **more}
        while True:
            try:
                rows = await in_thread(lambda: self._database.query(sql, parameters))
            except PostjetError as error:
                if not isinstance(error, NoTableError):  # in the first second of an instance
                    self._is_away(str(error))
                await asyncio.sleep(RETRY)
            else:
                self._is_away("")
                return rows

    def _is_away(self, why: str) -> None:
        if bool(why) != bool(self._away):
            log.warning("feedback: waits for ClickHouse: %s", why) if why else log.info("feedback: ClickHouse answers")
        self._away = why


def _known(id_: str, rows: Iterable[dict[str, Any]]) -> Delivery | None:
    """What rows, the oldest first, say of a delivery: its submission's, and over it those of its own."""
    submission, _, number = id_.partition("-")
    values: dict[str, Any] = {}
    for row in rows:
        if row["submission"] != submission or row["delivery"] not in ("", id_):
            continue
        said = {name: row[name] for name in _COLUMNS if row[name] and name not in ("type", "recipients", "delivery")}
        if 0 < int(number) <= len(row["recipients"]):
            said["recipient"] = row["recipients"][int(number) - 1]
            if "@" in said["recipient"]:  # else it is hashed
                said["domain"] = said["recipient"].rpartition("@")[2].lower()
        values |= said if row["delivery"] else said | values
    if not values:
        return None
    return Delivery(**values | {"delivery": id_, "tags": tuple(values.get("tags", ()))})
