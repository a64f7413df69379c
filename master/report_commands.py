"""``postjet report``: the numbers of what happened, asked of ClickHouse."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from common import instance
from common.config_file import load
from common.errors import CannotCreateError, UnavailableError, UsageError
from events import report, report_text
from events.report import Asked, Question, Report
from events.store import NoTableError, NotReachableError, Store
from master.report_time import duration, time_range
from master.tables import aligned

app = typer.Typer(rich_markup_mode=None)

#: Characters of a line where no terminal says how many there are.
WIDTH = 200

_ONLY = typer.Option(help="only these; may be given several times, '' for none")
Only = Annotated[list[str] | None, _ONLY]


@app.command("report")
def report_(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="without one: the reports there are")] = "",
    by: Annotated[str, typer.Option(help="what each line is of: provider, domain, pool and more (--about)")] = "",
    since: Annotated[str, typer.Option(help="how far to look back, such as 24h or 7d")] = "24h",
    start: Annotated[str, typer.Option("--from", help="UTC: 2026-11-22 or 2026-11-22T14:30; instead of --since")] = "",
    end: Annotated[str, typer.Option("--to", help="until then, which is not in it; now unless said")] = "",
    step: Annotated[str, typer.Option(help="of a report over time, such as 15m or 1d")] = "",
    limit: Annotated[int, typer.Option(min=0, help="lines at most; 0: as the report has it")] = 0,
    pool: Only = None,
    provider: Only = None,
    domain: Only = None,
    campaign: Only = None,
    tag: Only = None,
    sender: Only = None,
    sender_domain: Only = None,
    source_address: Only = None,
    worker: Only = None,
    site: Only = None,
    interface: Only = None,
    client_address: Only = None,
    bounce_class: Only = None,
    raw: Annotated[bool, typer.Option("--raw", help="count the events themselves, not the rollups")] = False,
    about: Annotated[bool, typer.Option("--about", help="say what its columns mean, and ask nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one object per line")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="with a line of names")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="write it as Parquet")] = None,
) -> None:
    """Add up what happened: volume, outcomes, reasons, latency and more; a table with bars, or data."""
    if not name:
        for line in aligned([(known.name, known.title) for known in report.reports().values()]):
            typer.echo(line)
        return
    chosen = report.find(name)
    if about:
        _tell(chosen)
        return
    if as_json + as_csv + bool(parquet) > 1:
        raise UsageError("--json, --csv and --parquet: give one of them")
    given = {name: values for name in report.FILTERS if (values := context.params[name])}
    now = time.time()
    first, last = time_range(since, start, end, now)
    every = int(duration("--step", step)) if step else 0
    by = by.replace("-", "_")
    question = Question(start=first, end=last, by=by, filters=given, limit=limit, step=every, raw=raw)
    asked = report.prepare(chosen, question)
    config, _ = load(context.obj)
    if note := report.missing(chosen, question, asked, config.events, now):
        typer.echo(f"postjet: {note}", err=True)
    format = "Parquet" if parquet else "CSVWithNames" if as_csv else "JSONEachRow" if as_json else ""
    answer = _ask(Store(instance.find(config).clickhouse_url), asked, format)
    if parquet:
        _write(parquet, answer)
    elif format:
        sys.stdout.buffer.write(answer)
    elif any(value for row in answer for value in row.values() if isinstance(value, int)):
        console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
        report_text.show(console, report_text.heading(chosen, question, asked), chosen, answer)
    else:
        Console(highlight=False, soft_wrap=True).print(report_text.nothing(chosen, question, asked))


def _ask(store: Store, asked: Asked, format: str) -> Any:
    """Rows, or bytes in a format. Raises UnavailableError, RefusedError."""
    try:
        return report.exported(store, asked, format) if format else report.rows(store, asked)
    except NoTableError:
        raise UnavailableError("nothing is recorded yet: the role events makes the tables when it starts") from None
    except NotReachableError as error:
        raise UnavailableError(f"reports need ClickHouse, which does not answer: {error}") from None


def _tell(chosen: Report) -> None:
    """What a report is, for people."""
    typer.echo(f"{chosen.name}: {chosen.title}\n")
    lines = [*chosen.columns.items()]
    if chosen.by:
        lines.insert(0, ("--by", ", ".join(chosen.by) + f" ({chosen.by[0]} unless said)"))
    lines.append(("narrowed by", " ".join(f"--{name}" for name in chosen.filters).replace("_", "-")))
    for line in aligned(lines):
        typer.echo(line)
    if chosen.notes:
        typer.echo(f"\n{chosen.notes}")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CannotCreateError(f"{path}: cannot be written: {error.strerror}") from None
