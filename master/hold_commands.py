"""``postjet holds``: what reply rules have brought upon sites, providers and source addresses for a time."""

import json
import time
from typing import Annotated, Any

import typer

from common.broker import Broker
from common.codes import printable
from common.config_file import load
from common.entry import DEFAULT_POOL
from common.errors import NotFoundError
from common.event import Event, Type
from common.policies.holds import Hold, lift, stored
from common.queue import pools, rows
from common.queue.retry import go_on
from common.subjects import SCHEDULED
from common.units import Rate
from events.story import rfc3339
from master.control_commands import deliveries, me
from master.queue_commands import with_broker
from master.tables import aligned, times

app = typer.Typer(help="What reply rules hold back now: suspended, or held to less, for a time.", rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="one object per line")]


@app.callback(invoke_without_command=True)
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List what is held, by which rule, for how long, and the reply that brought it about."""
    if context.invoked_subcommand:
        return
    config, _ = load(context.obj)

    async def work(broker: Broker) -> None:
        now = time.time()
        holds = sorted((hold for hold in await stored(broker) if hold.until > now), key=lambda hold: hold.since)
        if as_json:
            for hold in holds:
                print(json.dumps(_as_json(hold)))
        elif holds:
            heads = aligned([(one.key, _value(one) or one.action, times(one.since, one.until)) for one in holds])
            for head, hold in zip(heads, holds, strict=True):
                print(f"{head}\n    {hold.by}: {printable(hold.why)}")
        else:
            print("No reply rule holds anything back")

    with_broker(config, work)


@app.command("lift")
def lift_(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="as 'postjet holds' lists it, such as provider:example")],
) -> None:
    """End what reply rules hold under a key; it flows again within seconds."""
    config, _ = load(context.obj)

    async def work(broker: Broker) -> None:
        lifted = await lift(broker, key)
        filters = {pool: [f"{SCHEDULED}.{pool}.>"] for pool in await pools.known(broker, config.pools)}
        moved = sum([count async for count in go_on(broker, filters, key)])  # also what a lift that broke off left
        if not lifted and not moved:
            raise NotFoundError(f"nothing is held under {key!r}; 'postjet holds' lists what is")
        event = Event(time=time.time(), type=Type.ADMIN, reason="lift", text=f"{key}: holds lifted by {me()}")
        await broker.store([rows.message(DEFAULT_POOL, [event])])
        print(f"{key}: nothing is held any more" + (f"; {deliveries(moved)} no longer put off" if moved else ""))

    with_broker(config, work)


def _as_json(hold: Hold) -> dict[str, Any]:
    return {
        "key": hold.key, "action": hold.action, "value": _value(hold) or None, "since": rfc3339(hold.since),
        "until": rfc3339(hold.until), "rule": hold.rule, "origin": hold.origin, "reply": hold.why,
    }  # fmt: skip


def _value(hold: Hold) -> str:
    if hold.per:
        return str(Rate(hold.amount, hold.per))
    return f"{hold.amount} {hold.action.replace('_', ' ')}" if hold.amount else ""
