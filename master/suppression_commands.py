"""``postjet suppression``: recipients that mail is not sent to; what is changed is in force within a second."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, TextIO

import typer

from common.addresses import AddressError
from common.broker import Broker
from common.codes import printable
from common.config_file import load
from common.entry import DEFAULT_POOL
from common.errors import CannotCreateError, NotFoundError, UsageError
from common.event import Event, Type
from common.queue import rows
from common.suppression import store
from common.suppression.changes import REASON, row
from common.suppression.suppression import (
    EVERYBODY,
    MAX_REASON,
    Source,
    Suppression,
    parse_recipient,
    parse_scope,
    scopes,
)
from common.units import parse_duration
from master import suppression_csv
from master.control_commands import me
from master.queue_commands import with_broker
from master.suppression_csv import Defaults, cells
from master.suppression_import import Import
from master.tables import aligned, print_json

app = typer.Typer(
    help="Recipients that mail is not sent to; what is changed is in force within a second.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Recipient = Annotated[str, typer.Argument(metavar="ADDRESS", help="the recipient")]
Sender = Annotated[str, typer.Option(help="whose mail: an address, @domain, or * for everybody's")]
AsJson = Annotated[bool, typer.Option("--json", help="one object per line")]
Why = Annotated[str, typer.Option(help="kept with it, and shown")]
For = Annotated[str, typer.Option("--for", help="ends by itself after 30d, 12h …; '' is for ever")]
#: Rows that the table shows; all of them with --json, or export.
SHOWN = 1000


@app.command("list")
def list_(
    context: typer.Context,
    sender: Annotated[str, typer.Option(help="only those for this scope: an address, @domain, *")] = "",
    domain: Annotated[str, typer.Option(help="only recipients of this domain")] = "",
    source: Annotated[Source | None, typer.Option(help="only these")] = None,
    as_json: AsJson = False,
) -> None:
    """List who is suppressed, for whose mail, why and until when. Soft bounces still counted: --source counted."""
    config, _ = load(context.obj)
    scope = _scope(sender) if sender else ""

    async def work(broker: Broker) -> None:
        shown: list[Suppression] = []
        more, now = 0, time.time()
        async for one in store.every(broker):
            wanted = one.source is source if source else one.source is not Source.COUNTED
            in_domain = not domain or one.recipient.endswith(f"@{domain.lower()}")
            if one.is_over(now) or not wanted or scope not in ("", one.scope) or not in_domain:
                continue
            if as_json:
                print(json.dumps(cells(one)))
            elif len(shown) < SHOWN:
                shown.append(one)
            else:
                more += 1
        if shown:
            _show(shown)
        elif not as_json:
            print("Nobody is suppressed" if not (sender or domain or source) else "Nobody of these is suppressed")
        if more:
            print(f"and {more} more; --json or 'postjet suppression export' has all of them")

    with_broker(config, work)


@app.command()
def check(
    context: typer.Context,
    recipient: Recipient,
    sender: Annotated[str, typer.Option(help="only what holds for mail of this envelope sender")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell whether mail to somebody is held back, and why. Exit code 0: yes; 66: no."""
    config, _ = load(context.obj)
    address = _recipient(recipient)
    of = scopes(sender) if sender else ()

    async def work(broker: Broker) -> None:
        now = time.time()
        found = [one for one in await store.of(broker, address) if not one.is_over(now)]
        found = [one for one in found if one.source is not Source.COUNTED and (not of or one.scope in of)]
        if not found:
            raise NotFoundError(f"{address} is not suppressed{f' for {sender}' if sender else ''}")
        if as_json:
            for one in found:
                print(json.dumps(cells(one)))
        else:
            _show(found)

    with_broker(config, work)


@app.command()
def add(
    context: typer.Context, recipient: Recipient, sender: Sender = "*", reason: Why = "", for_: For = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Suppress a recipient; takes the place of what is there for the same sender."""
    config, _ = load(context.obj)
    now = time.time()
    one = Suppression(
        recipient=_recipient(recipient), scope=_scope(sender), source=Source.MANUAL, reason=reason[:MAX_REASON],
        since=now, until=now + _duration(for_) if for_ else 0, by=me(),
    )  # fmt: skip

    async def work(broker: Broker) -> None:
        await store.add(broker, [one], replace=True)
        await _record(broker, row(one, "suppressed by hand"))
        if as_json:
            print_json(cells(one))
        else:
            print(f"{one.recipient} is suppressed for mail of {_whose(one.scope)}")

    with_broker(config, work)


@app.command()
def remove(
    context: typer.Context,
    recipient: Recipient,
    sender: Annotated[str, typer.Option(help="only what was brought about for: an address, @domain, *")] = "",
) -> None:
    """Let mail to a recipient through again."""
    config, _ = load(context.obj)
    address, scope = _recipient(recipient), _scope(sender) if sender else ""

    async def work(broker: Broker) -> None:
        removed = await store.remove(broker, address, scope)
        if not removed:
            what = f" for {scope}" if scope else ""
            raise NotFoundError(f"{address} is not suppressed{what}; 'postjet suppression check {address}' tells more")
        by = me()
        for one in removed:
            await _record(broker, row(one, f"no longer suppressed, by {by}; it was {one}"))
            print(f"{one.recipient} is not suppressed for mail of {_whose(one.scope)} any more")

    with_broker(config, work)


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with a header, or an address per line; - is stdin")],
    sender: Sender = "*",
    source: Annotated[Source, typer.Option(help="of rows that do not say")] = Source.MANUAL,
    reason: Why = "",
    for_: For = "",
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Suppress all recipients of a list, ours or another provider's. What is there already and lasts longer stays.

    --sender, --source, --reason and --for are for rows that do not say. Rows that are wrong are told and left out.
    """
    config, _ = load(context.obj)
    until = time.time() + _duration(for_) if for_ else 0
    defaults = Defaults(_scope(sender), source, reason or f"imported from {Path(file).name}", me(), until)

    async def work(broker: Broker) -> None:
        with _opened(file) as text:
            done = Import(broker, say=sys.stderr if sys.stderr.isatty() else None)
            await done.run(suppression_csv.read(text, defaults))
        said = f"{done.added} of {done.rows} recipients suppressed from {file} by {defaults.by}"
        await _record(broker, Event(time=time.time(), type=Type.ADMIN, reason=REASON, text=said))
        if as_json:
            print_json({"rows": done.rows, "added": done.added, "there": done.there, "refused": done.refused})
        else:
            print(f"{done.added} added, {done.there} there already, {done.refused} left out")

    with_broker(config, work)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="to write; - is stdout")] = "-",
) -> None:
    """Write all suppressions as CSV; ``import`` reads it."""
    config, _ = load(context.obj)
    writer = suppression_csv.Writer(sys.stdout if file == "-" else _created(file))

    async def work(broker: Broker) -> None:
        now = time.time()
        async for one in store.every(broker):
            if not one.is_over(now) and one.source is not Source.COUNTED:
                writer.write(one)

    with_broker(config, work)
    if file != "-":
        writer.file.close()
        print(f"{writer.count} suppressions written to {file}")


def _recipient(text: str) -> str:
    try:
        return parse_recipient(text)
    except AddressError as error:
        raise UsageError(f"{text!r} is no address: {error}") from None


def _scope(text: str) -> str:
    try:
        return parse_scope(text)
    except AddressError as error:
        raise UsageError(f"--sender: {text!r}: {error}; write news@example.org, @example.org or *") from None


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from None


def _opened(file: str) -> TextIO:
    """A list to read. Raises NotFoundError."""
    if file == "-":
        return sys.stdin
    try:
        return Path(file).open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise NotFoundError(f"{file}: cannot be read: {error.strerror}") from None


def _created(file: str) -> TextIO:
    """A file to write. Raises CannotCreateError."""
    try:
        return Path(file).open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise CannotCreateError(f"{file}: cannot be written: {error.strerror}") from None


def _whose(scope: str) -> str:
    return "everybody" if scope == EVERYBODY else scope


def _show(found: list[Suppression]) -> None:
    """Two lines for each: who, for whose mail, why and until when; then who, or which delivery, it was by, and why."""
    heads = aligned([(one.recipient, f"mail of {_whose(one.scope)}", str(one), f"since {_day(one)}") for one in found])
    for head, one in zip(heads, found, strict=True):
        why = f"{one.by}: {one.reason}" if one.reason else one.by
        print(f"{head}\n    {printable(why)}")


def _day(one: Suppression) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(one.since))


async def _record(broker: Broker, event: Event) -> None:
    await broker.store([rows.message(DEFAULT_POOL, [event])])
