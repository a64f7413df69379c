"""``postjet demo``: 200 mails through a real Postjet on loopback, and what became of them."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dkim
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from common.errors import UnavailableError
from common.key_store import KeyStore
from common.keys import default_selector, public_record
from common.queue.reports import INTERFACE
from events import story
from events.store import NoTableError, Store
from master.demo.generator import Mail, make_message, send_all
from master.demo.sink_script import Rule
from master.demo.world import World

MAILS, DOMAINS, SESSIONS = 200, 40, 10
SENDER_DOMAIN = "news.postjet.test"
#: What the domains are like; the others take everything.
GREYLISTING, REFUSING, SILENT = ("grey1.test", "grey2.test", "grey3.test"), "strict.test", "nobody-home.test"
TIMEOUT = 60.0
_IS_MAIL = f"(interface != '{INTERFACE}')"


async def run(folder: Path, *, stay: bool) -> None:
    """Run the demo in an empty folder. Raises PostjetError."""
    if task := asyncio.current_task():  # told to end, it stops what it started
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    console = Console(highlight=False, soft_wrap=True)
    world = World(folder, settings={"delivery": {"expire": "6s"}})
    async with _opened(world, console):
        mails = _mails()
        await _send(world, mails, console)
        store = Store(world.instance["clickhouse_url"])
        await _outcomes(store, console)
        _print_domains(store, console)
        _print_trace(store, console)
        await _print_dkim(world, console)
        _print_next(world, console, stay=stay)
        if stay:
            await asyncio.Event().wait()


@asynccontextmanager
async def _opened(world: World, console: Console) -> AsyncIterator[None]:
    await world.open()
    try:
        _prepare(world)
        console.print(f"DNS server on {world.dns.address}, MX hosts on 127.0.0.2-4 port {world.mx_port}")
        with console.status("starting 'postjet up' …"):
            await world.up()
        console.print(f"Postjet takes mail on 127.0.0.1:{world.smtp_port}; its log: {world.log_file}\n")
        yield
    finally:
        with console.status("stopping …"):
            await world.close()


def _prepare(world: World) -> None:
    """Domains with their habits, and a DKIM key with its record."""
    for number, domain in enumerate(_domains()):
        first, second = world.sinks[number % 3], world.sinks[(number + 1) % 3]
        world.add_domain(domain, first, second)
    for sink in world.sinks:
        for domain in GREYLISTING:
            for mail in range(MAILS // DOMAINS):
                later = Rule(phase="rcpt", recipient=f"reader{mail}@{domain}", reply="451 4.7.1 Greylisted", times=1)
                sink.rules.append(later)
        sink.rules.append(Rule(phase="rcpt", recipient=REFUSING, reply="550 5.1.1 No such user here"))
    world.add_domain(SENDER_DOMAIN, *world.sinks)  # takes the reports on what cannot be delivered
    world.dns.zone.add("mx.nobody-home.test", "A", "127.0.0.250")
    world.dns.zone.remove(SILENT)
    world.dns.zone.add(SILENT, "MX", "10 mx.nobody-home.test.")
    config = world.config
    key = KeyStore(config.dkim.keys, config.data_dir).create(SENDER_DOMAIN, default_selector("rsa"), "rsa").load()
    world.dns.zone.add(key.record_name, "TXT", public_record(key))


def _domains() -> list[str]:
    special = [*GREYLISTING, REFUSING, SILENT]
    return [*special, *(f"domain{number:02}.test" for number in range(1, DOMAINS - len(special) + 1))]


def _mails() -> list[Mail]:
    domains = _domains()
    sender = f"news@{SENDER_DOMAIN}"
    found: list[Mail] = []
    for number in range(MAILS):
        recipient = f"reader{number // DOMAINS}@{domains[number % DOMAINS]}"
        found.append((sender, [recipient], make_message(2000, sender=sender, recipient=recipient)))
    return found


def _progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), console=console)


async def _send(world: World, mails: list[Mail], console: Console) -> None:
    with _progress(console) as progress:
        task = progress.add_task("sending", total=len(mails))
        await send_all(mails, "127.0.0.1", world.smtp_port, SESSIONS, progress=lambda _: progress.advance(task))


async def _outcomes(store: Store, console: Console) -> None:
    """Wait until every mail has its end, and every report on one that failed."""
    query = (
        f"SELECT countIf({_IS_MAIL} AND status IN ('delivered', 'undeliverable')) AS ended, "
        f"countIf({_IS_MAIL} AND status = 'undeliverable') AS failed, "
        f"countIf(NOT {_IS_MAIL} AND status = 'delivered') AS reported FROM events"
    )
    deadline = time.monotonic() + TIMEOUT
    with _progress(console) as progress:
        task = progress.add_task("finished", total=MAILS)
        ended = failed = reported = 0
        while (ended < MAILS or reported < failed) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)  # nothing announces a row in another process's table
            with contextlib.suppress(NoTableError):
                [row] = store.query(query, {})
                ended, failed, reported = row["ended"], row["failed"], row["reported"]
            progress.update(task, completed=ended)
    if ended < MAILS or reported < failed:
        raise UnavailableError(
            f"{ended} of {MAILS} mails ended, {reported} of {failed} reports arrived within {TIMEOUT:.0f} s; "
            "see the log named above"
        )


def _print_domains(store: Store, console: Console) -> None:
    query = (
        "SELECT domain, countIf(type = 'accepted'), countIf(type = 'delivered'), countIf(type = 'deferred'), "
        "countIf(status = 'undeliverable'), max(if(type IN ('bounced', 'deferred'), text, '')) "
        f"FROM events WHERE domain != '' AND {_IS_MAIL} GROUP BY domain "
        "ORDER BY countIf(type != 'delivered') DESC, domain"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("domain", "delivered", "deferrals", "bounced", "why"):
        table.add_column(name, justify="left" if name in ("domain", "why") else "right")
    totals: Counter[str] = Counter()
    for domain, _, delivered, deferred, bounced, why in store.client.query(query).result_rows:
        table.add_row(domain, str(delivered), str(deferred), str(bounced), why if len(why) < 30 else why[:29] + "…")
        totals.update(delivered=delivered, deferrals=deferred, bounced=bounced)
    table.add_row("all", *(str(totals[name]) for name in ("delivered", "deferrals", "bounced")), style="bold")
    console.print(table, soft_wrap=False)
    console.print(f"\nnews@{SENDER_DOMAIN} got a report on each of the {totals['bounced']} that were not delivered.")


def _print_trace(store: Store, console: Console) -> None:
    address = f"reader0@{GREYLISTING[0]}"
    console.print(f"\n[bold]$ postjet trace {address}[/bold]")
    console.print(story.timeline(story.trace(store, address)))


async def _print_dkim(world: World, console: Console) -> None:
    content = next(mail.content for sink in world.sinks for mail in sink.received if mail.sender)
    good = await asyncio.to_thread(dkim.verify, content, dnsfunc=world.look_up_txt)
    signature = next(line.strip() for line in content.decode().splitlines() if " d=" in line)
    console.print(f"\nDKIM of a received mail, {signature}: {'[green]pass[/green]' if good else '[red]fail[/red]'}")


def _print_next(world: World, console: Console, *, stay: bool) -> None:
    console.print("\n[bold]How to go on[/bold]")
    if stay:
        lines = [
            f"swaks --server 127.0.0.1:{world.smtp_port} --from you@{SENDER_DOMAIN} --to me@domain01.test",
            f"postjet --config {world.config_file} events --follow",
            f"postjet --config {world.config_file} queue",
            "running until Ctrl-C",
        ]
    else:
        lines = [
            "make run ARGS=--stay     keep this small internet running and send to it by hand",
            ". .venv/bin/activate; postjet up     the real thing: takes mail on 127.0.0.1:2525, keeps it in ./var",
            "swaks --server 127.0.0.1:2525 --from you@your.domain --to somebody@a.domain",
            "README.md: five minutes to a real relay; docs/configuration.md: every key",
        ]
    for text in lines:
        console.print(f"  {text}")
