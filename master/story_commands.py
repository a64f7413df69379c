"""``postjet trace`` and ``postjet events``: what happened, asked of ClickHouse."""

import time
from typing import Annotated

import typer
from rich.console import Console

from common import instance
from common.config_file import load
from common.errors import NotFoundError, UsageError
from common.event import Event
from common.recipients import read_key
from common.units import parse_duration
from events import aside, story
from events.store import Store
from master import waiting

app = typer.Typer(rich_markup_mode=None)
#: With commands of its own (personal_commands).
events_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)

#: Seconds between looks while following.
FOLLOW = 0.5

AsJson = Annotated[bool, typer.Option("--json", help="one object per line")]


def open_store(config_file: str | None) -> tuple[Store, bytes | None]:
    """The events of the running instance, and the key of hashed recipients. Raises UnavailableError."""
    config, _ = load(config_file)
    return Store(instance.find(config).clickhouse_url), read_key(config.data_dir)


@app.command()
def trace(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="ID|ADDRESS", help="a submission, a delivery or an address")],
    as_json: AsJson = False,
) -> None:
    """Tell the whole story of a mail: accepted, tried, deferred, delivered or not, and why."""
    config, _ = load(context.obj)
    found = story.trace(Store(instance.find(config).clickhouse_url), what, key=read_key(config.data_dir))
    if not found:
        raise NotFoundError(f"nothing is known of {what}; events appear about a second after they happen")
    if as_json:
        for event in found:
            print(story.to_json(event))
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(story.timeline(found))
        for line in waiting.of_stories(config, what, found):
            console.print(story.printable(line))


@events_app.callback()
def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what happens, until Ctrl-C")] = False,
    as_json: AsJson = False,
    set_aside: Annotated[bool, typer.Option("--set-aside", help="what could not be recorded, and why")] = False,
    since: Annotated[str, typer.Option(help="how far to look back, such as 10m or 2d; 1h unless --set-aside")] = "",
    where: Annotated[list[str] | None, typer.Option(help="only those with NAME=VALUE: domain=a.example")] = None,
    limit: Annotated[int, typer.Option(min=1, help="at most so many, the newest")] = 100,
) -> None:
    """List what happened, one line each; with a command below, what there is of one address."""
    if context.invoked_subcommand:
        return
    if set_aside and (follow or where):
        raise UsageError("--set-aside goes with --since, --limit and --json only")
    (store, key), console = open_store(context.obj), Console(highlight=False, soft_wrap=True)
    if set_aside:
        _list_set_aside(aside.set_aside(store, since=_start(since) if since else 0, limit=limit), console, as_json)
        return
    filters = dict(_filter(text) for text in where or [])
    start = _start(since or "1h")

    def show(found: list[Event]) -> None:
        for event in found:
            if as_json:
                print(story.to_json(event), flush=follow)
            else:
                console.print(story.line(event))

    found, position = story.recent(store, since=start, where=filters, limit=limit, key=key)
    show(found)
    try:
        while follow:
            time.sleep(FOLLOW)
            found, position = story.recent(store, since=start, after=position, where=filters, key=key)
            show(found)
    except KeyboardInterrupt:
        return


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--where {text}: write NAME=VALUE, such as domain=a.example")
    return name, value


def _list_set_aside(rows: list[aside.Row], console: Console, as_json: bool) -> None:
    for row in rows:
        if as_json:
            print(aside.to_json(row))
        else:
            console.print(aside.line(row))
    if not as_json:
        console.print(aside.REMEDY if rows else "Nothing is set aside")


def _start(since: str) -> float:
    try:
        return time.time() - parse_duration(since)
    except ValueError as error:
        raise UsageError(f"--since: {error}") from None
