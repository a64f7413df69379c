"""Suppressions that what happened leads to: stored with the ``admin`` row that tells of them, in any order of crashes.

The row goes first, as everywhere: a suppression that nobody can find the reason of would be worse than a row too many.
Whoever repeats this for the same delivery makes the same row, and changes nothing that is there already.
"""

import time
from dataclasses import replace

import structlog

from common.broker import Broker
from common.entry import DEFAULT_POOL
from common.event import Event, Type
from common.ids import report_id
from common.queue.rows import message as rows_message
from common.suppression import store
from common.suppression.rules import Rules
from common.suppression.suppression import REPORTED, Source, Suppression, merged

log = structlog.get_logger()

#: What stands in ``reason`` of the rows.
REASON = "suppression"


async def suppress(broker: Broker, rules: Rules, new: Suppression, pool: str = DEFAULT_POOL) -> bool:
    """Store what ``rules`` gave for a delivery; whether somebody is suppressed who was not. Raises BrokerFailure.

    What cannot be stored for its own sake is told in the log: mail must not wait for it.
    """
    made: list[Suppression] = []

    def wanted(there: list[Suppression]) -> list[Suppression] | None:
        one = new
        if new.source is Source.COUNTED:
            before = next((old for old in there if _same(old, new) and old.source is Source.COUNTED), None)
            one = rules.counted(before, new)
        made[:] = [one]
        return merged(there, one, time.time())

    async def tell() -> None:
        if made[0].source is not Source.COUNTED:
            event = row(made[0], f"suppressed: {made[0]}")
            event.id = report_id(new.by, f"{REASON} {made[0].source}")
            await broker.store([rows_message(pool, [event])])

    try:
        done = await store.change(broker, store.bucket_of(new.recipient), wanted, tell)
    except (store.FullError, ValueError) as error:
        log.error("%s: %s is not suppressed: %s", new.by, new.recipient, error)
        return False
    if done and made[0].source is not Source.COUNTED:
        log.info("%s: %s is suppressed for %s: %s", new.by, new.recipient, made[0].scope, made[0])
        return True
    return False


async def forget_bounces(broker: Broker, counted: Suppression) -> None:
    """A delivery takes the soft bounces back that were counted, but for those of mail that had been taken, too, and
    came back later: of their mailbox it says nothing. Raises BrokerFailure."""

    def wanted(there: list[Suppression]) -> list[Suppression] | None:
        left = [_left(one) if _same(one, counted) and one.source is Source.COUNTED else one for one in there]
        return None if left == there else list(filter(None, left))

    try:
        await store.change(broker, store.bucket_of(counted.recipient), wanted)
    except (store.FullError, ValueError) as error:
        log.error("soft bounces of %s are not forgotten: %s", counted.recipient, error)


def _left(counted: Suppression) -> Suppression | None:
    bounces = tuple(bounce for bounce in counted.bounces if bounce[1].endswith(REPORTED))
    return replace(counted, bounces=bounces) if bounces else None


def row(one: Suppression, text: str) -> Event:
    """The ``admin`` row about a change. It is about the recipient: no part of the story of a mail."""
    said = f"{text}; {one.by}: {one.reason}" if one.reason else f"{text}; {one.by}"
    return Event(
        time=time.time(),
        type=Type.ADMIN,
        sender="" if one.scope == "*" else one.scope,
        recipient=one.recipient,
        domain=one.recipient.rpartition("@")[2],
        reason=REASON,
        text=said,
    )


def _same(one: Suppression, other: Suppression) -> bool:
    return (one.recipient, one.scope) == (other.recipient, other.scope)
