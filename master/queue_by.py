"""``postjet queue --by``: how much lies in the queue for each domain, pool or campaign."""

import json
import time
from collections.abc import AsyncIterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from common.queue.listing import Listed
from common.queue.summary import By, Group, summarise
from common.units import format_duration, format_size

#: Entries from which on it takes long enough to show how far it is; a second reads about 20,000.
LONG = 10_000
_NONE = {By.CAMPAIGN: "(no campaign)"}


async def show(entries: AsyncIterator[Listed], total: int, by: By, *, as_json: bool) -> None:
    """Print the groups of about ``total`` entries, the largest first."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = total < LONG or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        groups = await summarise(_counted(entries, progress, total), by)
    now = time.time()
    if as_json:
        for name, group in groups.items():
            print(json.dumps(_as_json(name, group, by, now)))
    elif groups:
        Console(highlight=False).print(_table(groups, by, now))
    else:
        print("Mail queue is empty")


async def _counted(entries: AsyncIterator[Listed], progress: Progress, total: int) -> AsyncIterator[Listed]:
    task = progress.add_task("", total=total)
    number = 0
    async for listed in entries:
        number += 1
        if number % 500 == 0:
            progress.update(task, completed=number)
        yield listed


def _table(groups: Mapping[str, Group], by: By, now: float) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(by.value, overflow="fold")
    for column in ("ready", "deferred", "scheduled", "held", "all", "size", "oldest"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, group in groups.items():
        numbers = (group.ready, group.deferred, group.scheduled, group.held, group.count)
        age = format_duration(_age(group, now)) if group.oldest else "-"
        table.add_row(Text(name or _NONE.get(by, "?")), *map(str, numbers), format_size(group.bytes), age)
    return table


def _as_json(name: str, group: Group, by: By, now: float) -> dict[str, str | int | float | None]:
    return {
        by.value: name,
        "ready": group.ready,
        "deferred": group.deferred,
        "scheduled": group.scheduled,
        "held": group.held,
        "count": group.count,
        "bytes": group.bytes,
        "oldest_age": round(_age(group, now), 3) if group.oldest else None,
    }


def _age(group: Group, now: float) -> float:
    return max(0.0, now - group.oldest)
