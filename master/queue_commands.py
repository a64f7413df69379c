"""``postjet queue`` and ``postjet show``: what lies in the queue."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

import typer

from common import content, ids, instance
from common.broker import Broker, BrokerFailure
from common.codes import printable
from common.config import Config
from common.config_file import load
from common.content import BodyRef
from common.errors import NotFoundError, UnavailableError, UsageError
from common.queue import levels, listing, pools
from common.queue.bodies import Bodies
from common.queue.listing import Listed
from common.queue.moving import order_of
from common.queue.summary import By
from common.role import connected
from common.subjects import HELD, READY, SCHEDULED, submission
from common.units import format_size
from common.workers import Said, ask
from master import queue_by

app = typer.Typer(rich_markup_mode=None)

#: Postfix's marks: active or ready, waiting, on hold.
_QUEUE_NAMES = {READY: "active", SCHEDULED: "deferred", HELD: "hold"}
_MARKS = {READY: "*", SCHEDULED: " ", HELD: "!"}


def with_broker(config: Config, work: Callable[[Broker], Awaitable[None]]) -> None:
    """Run ``work`` with a connection to the running instance's broker. Raises UnavailableError."""

    async def run() -> None:
        async with connected(instance.find(config), config.queues, "postjet-command") as broker:
            try:
                await work(broker)
            except BrokerFailure as failure:
                raise UnavailableError(f"the broker did not do it: {failure}; try again") from None

    asyncio.run(run())


@app.command()
def queue(
    context: typer.Context,
    held: Annotated[bool, typer.Option("--held", help="only what is set aside until somebody looks at it")] = False,
    by: Annotated[By | None, typer.Option(help="only how much lies there for each")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one object per line, with Postfix's names")] = False,
) -> None:
    """List the queue as `postqueue -p` does: * ready, ! held; others wait for their next try or their time."""
    config, _ = load(context.obj)

    async def work(broker: Broker) -> None:
        if by:
            total = await _total(broker, config, held)
            await queue_by.show(_all(broker, config, held), total, by, as_json=as_json)
            return
        count = size = 0
        said = await ask(broker)
        async for listed in _all(broker, config, held):
            if not count and not as_json:
                print(f"{'----Queue ID----':<26} {'--Size--':>8} {'---Arrival Time----':<20} -Sender/Recipient---")
            count += 1
            size += listed.entry.size if listed.entry else 0
            waits_for = _waits_for(listed, said)
            print(json.dumps(_as_json(listed, waits_for)) if as_json else _as_text(listed, waits_for))
        if not as_json:
            noun = "delivery" if count == 1 else "deliveries"
            empty = "Nothing is held" if held else "Mail queue is empty"
            print(f"-- {format_size(size)} in {count} {noun}" if count else empty)

    with_broker(config, work)


@app.command()
def show(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="a submission's or delivery's id")],
    as_json: Annotated[bool, typer.Option("--json", help="the entries, one object per line")] = False,
) -> None:
    """Print queued deliveries of an id, and the message as it was accepted."""
    config, _ = load(context.obj)
    submission_id, _, number = identifier.partition("-")
    if not ids.SUBMISSION.fullmatch(submission_id):
        raise UsageError(f"{identifier!r} is no id; they look like 01k80104jjg883qldg58 or 01k80104jjg883qldg58-1")

    async def work(broker: Broker) -> None:
        found = [
            listed
            for pool in await pools.known(broker, config.pools)
            async for listed in listing.entries(broker, pool, submission(pool, submission_id))
            if number in ("", listed.id.partition("-")[2])
        ]
        if not found:
            raise NotFoundError(f"{identifier} is not in the queue; 'postjet trace {identifier}' tells its story")
        said = await ask(broker)
        for listed in found:
            waits_for = _waits_for(listed, said)
            print(json.dumps(_as_json(listed, waits_for)) if as_json else _as_text(listed, waits_for))
        if not as_json:
            print(f"\n{await _message(broker, found[0])}", end="")

    with_broker(config, work)


async def _all(broker: Broker, config: Config, held: bool) -> AsyncIterator[Listed]:
    for pool in await pools.known(broker, config.pools):
        async for listed in listing.entries(broker, pool, f"{HELD}.{pool}.>" if held else None):
            yield listed


async def _total(broker: Broker, config: Config, held: bool) -> int:
    """How many ``_all`` will find."""
    found = [await levels.of_pool(broker, pool) for pool in await pools.known(broker, config.pools)]
    return sum(level.count for states in found for state, level in states.items() if not held or state == "held")


async def _message(broker: Broker, listed: Listed) -> str:
    entry = listed.entry
    if entry is None:
        return f"(cannot be read: {listed.reason})\n"
    stored = entry.content
    if isinstance(stored, BodyRef):
        stored = await Bodies(broker, entry.pool).get(entry.submission, stored)
    return content.load(stored or b"").decode("utf-8", "replace").replace("\r\n", "\n")


def _waits_for(listed: Listed, said: Said) -> str:
    entry = listed.entry
    return said.waits_for(entry.pool, entry.domain) if entry and listed.kind == READY else ""


def _as_text(listed: Listed, waits_for: str) -> str:
    entry = listed.entry
    if entry is None:
        return f"{listed.id + '!':<26} {'?':>8} {listed.stored.time[:19]:<20} ({listed.reason})"
    arrival = time.strftime("%a %b %e %H:%M:%S", time.localtime(entry.accepted))
    lines = [f"{listed.id + _MARKS[listed.kind]:<26} {entry.size:>8} {arrival:<20} {entry.sender or 'MAILER-DAEMON'}"]
    if listed.reason:
        lines.append(f"{'':>26} ({listed.reason})")
    if waits_for:
        lines.append(f"{'':>26} (waits for {printable(waits_for)})")
    if listed.due:
        due = datetime.fromisoformat(listed.due).astimezone()
        what = "scheduled for" if listed.sent_later else f"attempt {entry.attempts + 1} at"
        lines.append(f"{'':>26} ({what} {due:%a %b %e %H:%M:%S})")
    lines.append(f"{'':>57}{entry.recipient}")
    return "\n".join(lines)


def _as_json(listed: Listed, waits_for: str) -> dict[str, Any]:
    """Postfix's member names (postqueue -j), and ours behind them."""
    entry = listed.entry
    name = "scheduled" if listed.sent_later else _QUEUE_NAMES[listed.kind]
    base = {"queue_name": name, "queue_id": listed.id}
    if entry is None:
        return base | {"reason": listed.reason}
    return base | {
        "arrival_time": int(entry.accepted),
        "message_size": entry.size,
        "forced_expire": False,
        "sender": entry.sender,
        "recipients": [{"address": entry.recipient, "delay_reason": listed.reason}],
        "pool": entry.pool,
        "priority": entry.priority,
        "attempts": entry.attempts,
        "next_attempt": listed.due,
        "order": order_of(listed.stored),
        "waits_for": waits_for or None,
    }
