"""``postjet events export`` and ``postjet events erase``: everything that is recorded about one address."""

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer

from common.addresses import AddressError, parse_path
from common.broker import Broker
from common.config import Config
from common.config_file import load
from common.entry import DEFAULT_POOL
from common.errors import NotFoundError, UsageError
from common.event import Event, Type
from common.queue import listing, pools, rows
from common.subjects import EVENTS_STREAM
from events import aside, personal, story
from events.personal import Person
from master.control_commands import me
from master.queue_commands import with_broker
from master.story_commands import open_store

app = typer.Typer(rich_markup_mode=None)

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="a recipient's, or a sender's")]
#: Deliveries that are named.
_FEW = 10


@app.command()
def export(context: typer.Context, address: Address) -> None:
    """Write what is recorded about an address, as JSON lines: events, then what was set aside."""
    store, key = open_store(context.obj)
    person = Person(_parsed(address), key)
    found = 0
    for events in personal.find(store, person):
        for event in events:
            print(story.to_json(personal.without_others(event, person)))
        found += len(events)
    for row in (found_aside := personal.find_aside(store, person)):
        print(aside.to_json(row))
    if not found and not found_aside:
        raise NotFoundError(f"nothing is recorded about {address}")


@app.command()
def erase(
    context: typer.Context,
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one object")] = False,
) -> None:
    """Empty what events say about an address, for good; what was set aside with it is removed."""
    config, _ = load(context.obj)
    store, key = open_store(context.obj)
    person = Person(_parsed(address), key)
    found, found_aside = personal.count(store, person), len(personal.find_aside(store, person))
    if (found or found_aside) and not yes:
        asked = f"{found} events and {found_aside} rows set aside tell of {address}. Erase that for good?"
        typer.confirm(asked, abort=True, err=True)
    erased = personal.erase(store, person)
    queued, waiting = list[str](), list[int]()

    async def work(broker: Broker) -> None:
        queued.extend(await _queued(broker, config, person))
        waiting.append(sum((await broker.subjects(EVENTS_STREAM, ">")).values()))
        if erased.events or erased.set_aside:
            await broker.store([rows.message(DEFAULT_POOL, [_row(erased)])])

    with_broker(config, work)
    if as_json:
        print(json.dumps({**asdict(erased), "queued": queued}))
    else:
        _say(address, erased, queued, waiting[0] > 0)


def _say(address: str, erased: personal.Erased, queued: list[str], waiting: bool) -> None:
    print(f"erased: {erased.events} events, {erased.set_aside} rows set aside")
    if queued:
        more = f" and {len(queued) - _FEW} more" if len(queued) > _FEW else ""
        print(f"still in the queue: {', '.join(queued[:_FEW])}{more}; postjet stop --id ID --reason … ends one")
    if waiting:
        print("events on their way to ClickHouse or to webhooks may name it: erase it once more in a while")
    print(f"Not looked at: suppressions (postjet suppression check {address}), webhooks, log files, backups.")


def _row(erased: personal.Erased) -> Event:
    """That it was done, without the address."""
    text = f"everything about one address erased by {me()}: {erased.events} events, {erased.set_aside} set aside"
    return Event(time=time.time(), type=Type.ADMIN, reason="erase", count=erased.events, text=text)


async def _queued(broker: Broker, config: Config, person: Person) -> list[str]:
    """Deliveries from it or to it that are in the queue."""
    return [
        listed.id
        for pool in await pools.known(broker, config.pools)
        async for listed in listing.entries(broker, pool)
        if listed.entry and (person.is_(listed.entry.recipient) or person.is_(listed.entry.sender))
    ]


def _parsed(address: str) -> str:
    """As it is recorded, its domain in A-labels. Raises UsageError."""
    try:
        path = parse_path(f"<{address.strip('<> ')}>", utf8=True)
    except AddressError as error:
        raise UsageError(f"{address}: {error}") from None
    if path is None:
        raise UsageError("name an address, such as ann@example.org")
    return str(path)
