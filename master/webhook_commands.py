"""``postjet webhook``: endpoints that are told what happens."""

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any

import typer

from common import instance
from common.broker import Broker
from common.codes import printable
from common.config import Config
from common.config_file import load
from common.errors import NotFoundError, UnavailableError, UsageError
from common.event import Type
from common.ids import new_id
from common.options import parse_time
from common.units import format_duration, parse_duration
from common.webhook import Webhook, new_secret
from events.hooks import queue, state
from events.hooks import replay as replaying
from events.hooks.payload import TEST, body
from events.hooks.state import NEW, State
from events.store import Store
from events.story import rfc3339
from master.control_commands import me
from master.queue_commands import with_broker
from master.tables import print_json, print_table

app = typer.Typer(
    help="Endpoints of [[webhooks]] that are told what happens: how they do, a sample, what was left out once more.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="as [[webhooks]] has it")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List all endpoints: whether they answer, and how many messages wait for them."""
    config, _ = load(context.obj)

    async def work(broker: Broker) -> None:
        states = await state.read_all(broker)
        rows = [
            _row(endpoint, states.get(endpoint.name, NEW), await queue.waiting(broker, endpoint.name))
            for endpoint in config.webhooks
        ]
        if as_json:
            print_json(rows)
        elif rows:
            print_table([_cells(row) for row in rows])
        else:
            print("No webhooks; [[webhooks]] in the configuration makes one")

    with_broker(config, work)


@app.command()
def enable(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Send to an endpoint again; what was left out meanwhile comes by 'postjet webhook replay'."""
    config, _ = load(context.obj)
    _find(config, name)
    changed: list[bool] = []

    async def work(broker: Broker) -> None:
        changed.append(await state.enable(broker, name, me()))

    with_broker(config, work)
    _say(name, "enabled", changed[0], as_json)


@app.command()
def disable(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Send nothing to an endpoint until it is enabled; what waits for it stays, what happens is left out."""
    config, _ = load(context.obj)
    _find(config, name)
    changed: list[bool] = []

    async def work(broker: Broker) -> None:
        changed.append(await state.disable(broker, name, f"by {me()}"))

    with_broker(config, work)
    _say(name, "disabled", changed[0], as_json)


@app.command("test")
def send_sample(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Send one signed sample, of the type webhook.test, and show the answer. Postjet need not run."""
    from events.hooks.client import Client  # an HTTP client is not for every command to load

    config, _ = load(context.obj)
    endpoint = _find(config, name)
    identifier, now = f"test_{new_id()}", rfc3339(time.time())
    data = {"webhook": endpoint.name, "hostname": config.hostname, "by": me()}

    async def send() -> Any:
        async with Client(endpoint, config.dns.nameservers) as client:
            return await client.post(identifier, body(TEST, now, data))

    answer = asyncio.run(send())
    text = "\n".join(map(printable, answer.text.splitlines()))
    if as_json:
        print_json({
            "webhook": name, "id": identifier, "good": answer.good, "status": answer.status or None,
            "seconds": round(answer.seconds, 3), "text": text,
        })  # fmt: skip
    elif answer.status:
        took = format_duration(answer.seconds)
        print(f"{identifier} sent to {endpoint.shown_url}: HTTP {answer.status} after {took}")
        print(text, end="\n" if text else "")
    if not answer.good:
        raise UnavailableError(f"webhook {name}: {answer}; only 2xx counts as taken")


@app.command()
def replay(
    context: typer.Context,
    name: Name,
    since: Annotated[str, typer.Option(help="from when on: 2h, 3d, or a time such as 2027-01-31T08:00:00Z")],
    type_: Annotated[list[Type] | None, typer.Option("--type", help="only these; else all that it wants")] = None,
    as_json: AsJson = False,
) -> None:
    """Queue recorded events once more, oldest first, under their old ids; so far as they may wait."""
    config, _ = load(context.obj)
    endpoint = _find(config, name)
    start = _start(since)
    servers = instance.find(config)
    store = Store(servers.clickhouse_url)
    found: list[replaying.Replayed] = []

    async def work(broker: Broker) -> None:
        if (await state.read_all(broker)).get(name, NEW).disabled:
            raise UsageError(f"webhook {name} is disabled; postjet webhook enable {name}")
        room = queue.Room(broker, config.webhooks, servers.max_store)
        found.append(await replaying.replay(broker, store, endpoint, room, start, type_ or ()))

    with_broker(config, work)
    done = found[0]
    again = rfc3339(done.until) if done.until else None
    if as_json:
        print_json({"webhook": name, "queued": done.queued, "go_on_since": again})
    else:
        print(f"{done.queued} events queued for {name}")
        if again:
            print(f"No more may wait; when they are sent: postjet webhook replay {name} --since {again}")


@app.command()
def secret(as_json: AsJson = False) -> None:
    """Make a secret for [[webhooks]] and its receiver; it is printed and not kept."""
    made = new_secret()
    if as_json:
        print_json({"secret": made})
    else:
        print(made)


def _find(config: Config, name: str) -> Webhook:
    for endpoint in config.webhooks:
        if endpoint.name == name:
            return endpoint
    known = ", ".join(config.webhook_names) or "none"
    raise NotFoundError(f"there is no webhook {name!r} in the configuration; there are: {known}")


def _start(since: str) -> float:
    try:
        return parse_time(since)
    except ValueError:
        pass
    try:
        return time.time() - parse_duration(since)
    except ValueError:
        raise UsageError(f"--since: {since!r} is neither a duration such as 2h nor a time of RFC 3339") from None


def _say(name: str, what: str, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"webhook": name, "state": what, "changed": changed})
    else:
        print(f"webhook {name} {'' if changed else 'was '}{what}{'' if changed else ' already'}")


def _row(endpoint: Webhook, known: State, waiting: int) -> dict[str, Any]:
    word = "disabled" if known.disabled else "failing" if known.failing else "ok"
    since = known.disabled or known.failing
    return {
        "name": endpoint.name, "url": endpoint.shown_url, "state": word, "since": rfc3339(since) if since else None,
        "waiting": waiting, "error": known.reason if known.disabled else known.error,
        "types": [str(type_) for type_ in endpoint.types],
    }  # fmt: skip


def _cells(row: dict[str, Any]) -> dict[str, str]:
    since = row["since"] and format_duration(time.time() - datetime.fromisoformat(row["since"]).timestamp())
    return {
        "name": row["name"], "url": row["url"], "state": f"{row['state']} for {since}" if since else row["state"],
        "waiting": str(row["waiting"]), "error": printable(row["error"]), "types": " ".join(row["types"]),
    }  # fmt: skip
