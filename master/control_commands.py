"""``postjet pause``, ``stop``, ``resume``, ``retry`` and ``controls``: orders about queued mail and mail to come."""

import asyncio
import getpass
import json
import socket
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from common.broker import Broker
from common.config import Config
from common.config_file import load
from common.controls import confirm, store
from common.controls.control import Action, Control, Match
from common.errors import NotFoundError, UsageError
from common.ids import new_id
from common.queue import listing, pools, progress
from common.queue.retry import retry as retry_now
from common.subjects import HELD, READY, SCHEDULED
from common.units import format_duration, parse_duration
from master.control_match import make_match
from master.queue_commands import with_broker

app = typer.Typer(rich_markup_mode=None)

#: Seconds that a command waits for the workers, and between looks at the mover.
CONFIRM, LOOK = 5.0, 0.1

Id = Annotated[str, typer.Option("--id", metavar="ID", help="a submission's or delivery's id")]
Campaign = Annotated[str, typer.Option(metavar="NAME", help="the first tag")]
Tag = Annotated[str, typer.Option(metavar="NAME", help="any tag")]
Sender = Annotated[str, typer.Option(metavar="ADDRESS", help="the envelope sender, or @domain")]
Domain = Annotated[str, typer.Option(metavar="DOMAIN", help="the recipient's")]
Pool = Annotated[str, typer.Option(metavar="NAME")]
Header = Annotated[str, typer.Option(metavar="NAME=VALUE", help="a field that [controls] headers names")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="why; it stands in every event")]
For = Annotated[str, typer.Option("--for", metavar="DURATION", help="ends by itself, such as 10m or 2h")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="until what is queued is moved")]
AsJson = Annotated[bool, typer.Option("--json", help="one object")]


@app.command()
def pause(
    context: typer.Context,
    id_: Id = "", campaign: Campaign = "", tag: Tag = "", sender: Sender = "", domain: Domain = "", pool: Pool = "",
    header: Header = "", reason: Reason = "", for_: For = "", wait: Wait = True, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Hold mail back, queued or to come, until resume. Several matchers must all hold."""
    config, _ = load(context.obj)
    match = make_match(config, id_, campaign, tag, sender, domain, pool, header)
    order = _order(Action.PAUSE, match, reason, for_)
    with_broker(config, lambda broker: _give(broker, config, order, wait, as_json))


@app.command()
def stop(
    context: typer.Context,
    id_: Id = "", campaign: Campaign = "", tag: Tag = "", sender: Sender = "", domain: Domain = "", pool: Pool = "",
    header: Header = "", reason: Reason = "", for_: For = "",
    report: Annotated[bool, typer.Option("--report", help="tell the senders, as when mail fails")] = False,
    wait: Wait = True, as_json: AsJson = False,
) -> None:  # fmt: skip
    """End mail for good, queued or to come, until resume. Several matchers must all hold."""
    config, _ = load(context.obj)
    match = make_match(config, id_, campaign, tag, sender, domain, pool, header)
    order = _order(Action.STOP, match, reason, for_).but(report=report)
    with_broker(config, lambda broker: _give(broker, config, order, wait, as_json))


@app.command()
def resume(
    context: typer.Context,
    id_: Id = "", campaign: Campaign = "", tag: Tag = "", sender: Sender = "", domain: Domain = "", pool: Pool = "",
    header: Header = "",
    order: Annotated[str, typer.Option(metavar="ID", help="an order's id, in place of the others")] = "",
    wait: Wait = True, as_json: AsJson = False,
) -> None:  # fmt: skip
    """End the orders with just these matchers: what is paused flows again, what was stopped stays stopped."""
    config, _ = load(context.obj)
    match = Match() if order else make_match(config, id_, campaign, tag, sender, domain, pool, header)
    with_broker(config, lambda broker: _resume(broker, match, order, wait, as_json))


@app.command()
def retry(
    context: typer.Context,
    id_: Id = "", campaign: Campaign = "", tag: Tag = "", sender: Sender = "", domain: Domain = "", pool: Pool = "",
    header: Header = "", reason: Reason = "",
    later: Annotated[bool, typer.Option("--later", help="also mail whose sender chose a later time")] = False,
    held: Annotated[bool, typer.Option("--held", help="what is set aside as poison or unreadable instead")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Try now what waits for its next try."""
    config, _ = load(context.obj)
    match = make_match(config, id_, campaign, tag, sender, domain, pool, header)
    order = _order(Action.PAUSE, match, reason or "retry", "")

    async def work(broker: Broker) -> None:
        count, show = 0, _Line(as_json)
        why = f"retry by {order.by}: {order.reason}"
        known = await pools.known(broker, config.pools)
        async for moved in retry_now(broker, known, match, held=held, later=later, why=why):
            count += moved
            show(f"{count} deliveries so far")
        await broker.store([progress.told(order, "retry", order.by, count)])
        show.end(f"{deliveries(count)} tried now", {"retried": count})

    with_broker(config, work)


@app.command()
def controls(context: typer.Context, as_json: AsJson = False) -> None:
    """List the orders in force: what, since when, by whom, how many deliveries."""
    config, _ = load(context.obj)

    async def work(broker: Broker) -> None:
        orders = [(order, await progress.read(broker, order)) for order in await store.read(broker)]
        if as_json:
            for order, far in orders:
                print(json.dumps(_as_json(order, far)))
        elif not orders:
            print("No orders are in force")
        else:
            Console(soft_wrap=True).print(_table(orders))

    with_broker(config, work)


def _order(action: Action, match: Match, reason: str, for_: str) -> Control:
    if not reason:
        raise UsageError(f"{action}: say why with --reason TEXT; it stands in the events of every mail")
    now = time.time()
    try:
        until = now + parse_duration(for_) if for_ else 0.0
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None
    return Control(id=new_id(), action=action, match=match, reason=reason, by=me(), since=now, until=until)


def me() -> str:
    """Who gives a command, as orders and events name them."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


async def _give(broker: Broker, config: Config, order: Control, wait: bool, as_json: bool) -> None:
    for known in await store.read(broker):
        if (known.match, known.action) == (order.match, order.action) and not known.is_over(time.time()):
            raise UsageError(f"{order.match} is {known} already; 'postjet resume --order {known.id}' ends that")
    if order.match.id:
        await _check_id(broker, config, order.match)
    order = await store.write(broker, order)
    await broker.store([progress.told(order, "given", order.by, 0)])
    show = _Line(as_json)
    confirmed = await confirm.wait(broker, order.revision, CONFIRM)
    show.say(f"order {order.id}: {_in_force(confirmed)}")
    far = progress.Progress()
    while wait and not far.done and confirmed.workers | confirmed.missing:
        await asyncio.sleep(LOOK)
        far = await progress.read(broker, order)
        show(f"{_verb(order)} so far: {far.moved}")
    workers = {"workers": len(confirmed.workers), "missing": sorted(confirmed.missing)}
    end = f"{_verb(order)}: {deliveries(far.moved)}" if far.done else "the mail that is queued is moved meanwhile"
    show.end(end, {**_as_json(order, far), **workers})


def _in_force(confirmed: confirm.Confirmed) -> str:
    count = len(confirmed.workers)
    if confirmed.missing:
        silent = ", ".join(sorted(confirmed.missing))
        return f"in force in {count} of {count + len(confirmed.missing)} workers; nothing is heard of {silent}"
    if not count:
        return "no worker runs; in force when one does"
    return f"in force in {count} worker{'s' if count > 1 else ''}"


async def _check_id(broker: Broker, config: Config, match: Match) -> None:
    """What an id names must be there: nothing more comes of a submission. Raises NotFoundError."""
    for pool in config.pools:
        for kind in (READY, SCHEDULED, HELD):
            async for _ in listing.entries(broker, pool, match.filter(kind, pool)):
                return
    raise NotFoundError(f"{match.id} is not in the queue; 'postjet trace {match.id}' tells its story")


async def _resume(broker: Broker, match: Match, id_: str, wait: bool, as_json: bool) -> None:
    orders = [order for order in await store.read(broker) if (order.id == id_ if id_ else order.match == match)]
    if not orders:
        what = f"no order has the id {id_}" if id_ else f"no order is about just {match}"
        raise NotFoundError(f"{what}; 'postjet controls' lists those in force")
    for order in orders:
        await store.end(broker, order, me())
    show, count = _Line(as_json), 0
    while wait:
        far = [await progress.read(broker, order) for order in orders]
        count = sum(one.returned for one in far)
        if all(one.over for one in far):
            break
        if not (await confirm.look(broker, 0)).workers:
            show.say("no worker runs; the mail goes on when one does")
            break
        show(f"resumed so far: {count}")
        await asyncio.sleep(LOOK)
    text = f"resumed: {deliveries(count)}" if wait else "what is held goes on meanwhile"
    show.end(text, {"orders": [order.id for order in orders], "resumed": count})


class _Line:
    """A line that changes while something goes on, for people; one object in the end, for programs."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._changes = not as_json and sys.stdout.isatty()

    def __call__(self, text: str) -> None:
        if self._changes:
            print(f"\r{text}\x1b[K", end="", flush=True)

    def say(self, text: str) -> None:
        if not self._as_json:
            print(text, flush=True)

    def end(self, text: str, values: dict[str, Any]) -> None:
        self("")
        print(json.dumps(values) if self._as_json else text)


def _verb(order: Control) -> str:
    return "paused" if order.action is Action.PAUSE else "stopped"


def deliveries(count: int) -> str:
    """``1 delivery``, ``2 deliveries``."""
    return f"{count} {'delivery' if count == 1 else 'deliveries'}"


def _as_json(order: Control, far: progress.Progress) -> dict[str, Any]:
    match = {name: value for name in Match.__slots__ if (value := getattr(order.match, name))}
    return {
        "order": order.id, "action": order.action, "match": match, "reason": order.reason, "by": order.by,
        "since": order.since, "until": order.until or None, "ending": order.is_over(time.time()),
        "moved": far.moved, "resumed": far.returned, "done": far.done,
    }  # fmt: skip


def _table(orders: list[tuple[Control, progress.Progress]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("ORDER", "", "MATCH", "SINCE", "FOR", "BY", "DELIVERIES", "REASON"):
        table.add_column(name, justify="right" if name == "DELIVERIES" else "left")
    now = time.time()
    for order, far in orders:
        since = time.strftime("%b %e %H:%M:%S", time.localtime(order.since))
        ends = "ending" if order.is_over(now) else format_duration(order.until - now) if order.until else ""
        cells = order.id, _verb(order), str(order.match), since, ends, order.by, str(far.moved), order.reason
        table.add_row(*cells)
    return table
