"""Retry now: what waits for another try goes at once; what is held as poison or unreadable, by choice.

So does what was put off until an end that was foreseen, when that comes before its time.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial

from common.broker import Broker, BrokerError, Stored
from common.controls.control import Match
from common.entry import Entry
from common.event import Event, Type
from common.queue import rows
from common.queue.moving import order_of, put_all, readable, to_ready
from common.queue.progress import delivery_of
from common.subjects import HELD, SCHEDULED, Kind, queue_stream

PAGE, PAGE_BYTES = 1000, 4 * 2**20


async def retry(
    broker: Broker, pools: list[str], match: Match, *, held: bool = False, later: bool = False, why: str = ""
) -> AsyncIterator[int]:
    """Make ready what matches: mail that waits for its next try, with ``later`` mail sent later too.

    ``held``: instead what was set aside, but for what is under an order; ``why`` stands in its rows. Gives the
    number after each page. Raises what the broker raises.
    """
    kind: Kind = HELD if held else SCHEDULED
    for pool in pools if not match.pool else [match.pool]:
        meant = partial(_is_meant, match, held=held, later=later)
        async for chosen in _make_ready(broker, pool, match.filter(kind, pool), meant):
            if held and chosen:
                await broker.store([rows.message(pool, [_row(pool, stored, why) for stored in chosen])])
            yield len(chosen)


async def go_on(broker: Broker, filters: Mapping[str, Iterable[str]], reason: str) -> AsyncIterator[int]:
    """Make ready what was put off until the end of something (``Entry.put_off``) that has come early.

    ``filters``: of scheduled entries, by pool. Gives the number after each page. Raises what the broker raises.
    """

    def is_meant(stored: Stored) -> bool:
        entry = readable(stored.body)
        return entry is not None and entry.put_off == reason

    for pool, some in filters.items():
        for filter_ in some:
            async for chosen in _make_ready(broker, pool, filter_, is_meant):
                yield len(chosen)


async def _make_ready(
    broker: Broker, pool: str, filter_: str, is_meant: Callable[[Stored], bool]
) -> AsyncIterator[list[Stored]]:
    """What was chosen of each page."""
    first = 1
    query = {"batch": PAGE, "max_bytes": PAGE_BYTES, "next_by_subj": filter_}
    while page := await broker.page(queue_stream(pool), {"seq": first, **query}):
        chosen = [stored for stored in page if is_meant(stored)]
        try:
            await put_all(broker, [to_ready(_due_now(stored)) for stored in chosen])
        except BrokerError as error:
            if error.code not in BrokerError.WRONG_SEQUENCE:
                raise
            continue  # one of them has fired meanwhile
        yield chosen
        first = page[-1].sequence + 1


def _due_now(stored: Stored) -> Stored:
    """Without the time of a try that lies ahead: a report on the delay would put it off until then again."""
    entry = readable(stored.body)
    return stored._replace(body=entry.but(next_try=0).pack()) if entry and entry.next_try else stored


def _is_meant(match: Match, stored: Stored, *, held: bool, later: bool) -> bool:
    entry = readable(stored.body)
    if not (match.is_exact or (entry and match.covers(entry))):
        return False
    if held:
        return not order_of(stored)
    return later or not _is_sent_later(entry)


def _is_sent_later(entry: Entry | None) -> bool:
    return entry is not None and entry.due > time.time() and not entry.last_reply


def _row(pool: str, stored: Stored, why: str) -> Event:
    delivery = delivery_of(stored)
    return Event(
        time=time.time(), type=Type.RESUMED, reason="retry", text=why, pool=pool, delivery=delivery,
        submission=delivery.rpartition("-")[0],
    )  # fmt: skip
