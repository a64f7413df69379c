"""``postjet top``: what goes through which pool and to which domains, and what waits, as it is now."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from common import instance
from common.broker import Broker, BrokerFailure
from common.config import Config
from common.config_file import load
from common.errors import PostjetError
from common.queue import leases, levels, pools
from common.queue.levels import Level
from common.role import connected
from common.units import format_duration
from common.workers import Waiting, ask
from events import rates
from events.rates import OUTCOMES, Rates
from events.store import Store
from events.story import printable

app = typer.Typer(rich_markup_mode=None)

#: Seconds that rates are of, and domains that are listed.
WINDOW, DOMAINS = 10.0, 20
#: Lines of what waits in workers.
LINES = 10
#: To count a long queue keeps the broker busy; it is done so seldom that it is a fiftieth of its time.
REST = 50


@dataclass
class View:
    """What is known at one moment. ``missing`` says what is not, and why."""

    workers: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, dict[str, Level]] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)
    held: list[Waiting] = field(default_factory=list)
    """What waits in workers for the longest, and for what."""
    missing: list[str] = field(default_factory=list)


class Looker:
    """Looks again and again; what does not answer keeps its last value and is named."""

    def __init__(self, broker: Broker, store: Store, config: Config) -> None:
        self._broker, self._store, self._configured = broker, store, list(config.pools)
        self._view = View()
        self._count_again = 0.0

    async def look(self) -> View:
        """Ask broker and database."""
        self._view.missing = []
        await asyncio.gather(self._ask_broker(), self._ask_database())
        return self._view

    async def _ask_broker(self) -> None:
        try:
            known = await pools.known(self._broker, self._configured)
            self._view.workers = {pool: len(await leases.live(self._broker, f"worker.{pool}")) for pool in known}
            self._view.held = sorted((await ask(self._broker)).lines, key=lambda line: line.since)[:LINES]
            started = time.monotonic()
            if started >= self._count_again:
                self._view.waiting = {pool: await levels.of_pool(self._broker, pool) for pool in known}
                now = time.monotonic()
                self._count_again = now + REST * (now - started)
        except BrokerFailure as error:
            self._view.missing.append(f"broker: {error}")

    async def _ask_database(self) -> None:
        try:
            self._view.rates = await asyncio.to_thread(rates.ask, self._store, time.time(), WINDOW, DOMAINS)
        except PostjetError as error:
            self._view.missing.append(f"events: {error}")


@app.command()
def top(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="look once and end")] = False,
    every: Annotated[float, typer.Option(min=0.5, help="seconds between looks")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="one object for each look, on a line")] = False,
) -> None:
    """Show what goes through the pools and to which domains, per second, and what waits, until Ctrl-C."""
    config, _ = load(context.obj)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(config, once=once, every=every, as_json=as_json))


async def _run(config: Config, *, once: bool, every: float, as_json: bool) -> None:
    servers = instance.find(config)
    store, console = Store(servers.clickhouse_url), Console(highlight=False)
    async with connected(servers, config.queues, "postjet-top") as broker:
        looker = Looker(broker, store, config)
        on_screen = console.is_terminal and not (once or as_json)
        with Live(console=console, screen=True, auto_refresh=False) if on_screen else contextlib.nullcontext() as live:
            while True:
                view = await looker.look()
                if live:
                    live.update(_shown(view), refresh=True)
                elif as_json:
                    print(json.dumps(_as_json(view)), flush=True)
                else:
                    console.print(_shown(view))
                if once:
                    return
                await asyncio.sleep(every)


def _shown(view: View) -> Group:
    outcomes = [f"{outcome}/s" for outcome in OUTCOMES]
    table = _table("pool", "workers", "accepted/s", *outcomes, *levels.STATES, "oldest ready")
    for pool, row in _rows(view).items():
        numbers = [_rate(row[name]) for name in ("accepted", *OUTCOMES)] + [str(row[state]) for state in levels.STATES]
        age = format_duration(row["oldest_ready"]) if row["oldest_ready"] is not None else "-"
        table.add_row(Text(pool), str(row["workers"]), *numbers, age)
    domains = _table("domain", "pool", *outcomes)
    for (pool, domain), found in view.rates.domains.items():
        domains.add_row(Text(domain), Text(pool), *(_rate(found[name]) for name in OUTCOMES))
    held = _table("parked", "for", "site", "pool", "waits for")
    for line in view.held:
        since = format_duration(max(0.0, time.time() - line.since))
        held.add_row(str(line.parked), since, *map(printable, (line.site, line.pool, line.waits_for)))
    said = [Text(line, style="red") for line in view.missing]
    went = domains if view.rates.domains else Text("no outcome in the last 10 s")
    return Group(table, Text(), went, *((Text(), held) if view.held else ()), *said)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        words = column in ("pool", "domain", "site", "waits for")
        table.add_column(column, justify="left" if words else "right", overflow="fold" if words else "ellipsis")
    return table


def _rows(view: View) -> dict[str, dict[str, Any]]:
    """A row for each pool, known to broker or database."""
    nothing = dict.fromkeys(("accepted", *OUTCOMES), 0.0)
    rows: dict[str, dict[str, Any]] = {}
    for pool in dict.fromkeys([*view.workers, *view.waiting, *filter(None, view.rates.pools)]):
        states = view.waiting.get(pool, {})
        oldest = min((level.oldest for name, level in states.items() if level.count and name == "ready"), default=0.0)
        rows[pool] = {
            "workers": view.workers.get(pool, 0),
            **view.rates.pools.get(pool, nothing),
            **{state: states[state].count if states else 0 for state in levels.STATES},
            "oldest_ready": round(max(0.0, time.time() - oldest), 3) if oldest else None,
        }
    return rows


def _as_json(view: View) -> dict[str, Any]:
    return {
        "time": round(time.time(), 3),
        "window": WINDOW,
        "pools": [{"pool": pool, **row} for pool, row in _rows(view).items()],
        "domains": [{"pool": pool, "domain": domain, **row} for (pool, domain), row in view.rates.domains.items()],
        "held": [
            {"pool": line.pool, "worker": line.worker, "site": line.site, "parked": line.parked,
             "waits_for": line.waits_for, "since": round(line.since, 3), "until": round(line.until, 3) or None}
            for line in view.held
        ],
        "missing": view.missing,
    }  # fmt: skip


def _rate(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
