"""``postjet report``: the numbers of what happened, asked of ClickHouse."""

import math
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from common import instance
from common.config_file import load
from common.errors import CannotCreateError, UnavailableError, UsageError
from common.units import parse_duration
from events import report, report_text
from events.report import HOUR, MINUTE, Asked, Question, Report
from events.store import NoTableError, NotReachableError, Store
from master.tables import aligned

app = typer.Typer(rich_markup_mode=None)

#: Characters of a line where nobody's terminal says how many there are.
WIDTH = 200
#: From so many seconds on a range is rounded to hours, of which there are fewer.
LONG = 2 * 86400

Values = list[str] | None


def _narrow(what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=f"only this {what}; may be given several times")
    return option


@app.command("report")
def report_(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="without one: the reports there are")] = "",
    by: Annotated[str, typer.Option(help="what each line is of: provider, domain, pool, …")] = "",
    since: Annotated[str, typer.Option(help="how far to look back, such as 24h or 7d")] = "24h",
    start: Annotated[str, typer.Option("--from", help="from this time on: 2026-11-22 or 2026-11-22T14:30 (UTC)")] = "",
    end: Annotated[str, typer.Option("--to", help="until this time, which is not in it; now unless said")] = "",
    step: Annotated[str, typer.Option(help="of a report over time, such as 15m or 1d")] = "",
    limit: Annotated[int, typer.Option(min=0, help="lines at most; 0: as the report has it")] = 0,
    pool: Annotated[Values, _narrow("pool")] = None,
    provider: Annotated[Values, _narrow("provider")] = None,
    domain: Annotated[Values, _narrow("recipients' domain")] = None,
    campaign: Annotated[Values, _narrow("campaign")] = None,
    tag: Annotated[Values, _narrow("tag")] = None,
    sender: Annotated[Values, _narrow("return path")] = None,
    sender_domain: Annotated[Values, _narrow("domain of the return path")] = None,
    source_address: Annotated[Values, _narrow("address of ours that it went out from")] = None,
    worker: Annotated[Values, _narrow("worker")] = None,
    site: Annotated[Values, _narrow("set of MX hosts")] = None,
    interface: Annotated[Values, _narrow("listener it came by")] = None,
    client_address: Annotated[Values, _narrow("client it came from")] = None,
    bounce_class: Annotated[Values, _narrow("class of refusals")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="count the events themselves, not the rollups")] = False,
    about: Annotated[bool, typer.Option("--about", help="say what its columns mean; ask nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one object per line")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="with a line of names")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="write it as Parquet")] = None,
) -> None:
    """Add up what happened: volume, outcomes, reasons, latency and more, by what you like."""
    if not name:
        for line in aligned([(known.name, known.title) for known in report.reports().values()]):
            typer.echo(line)
        return
    chosen = report.find(name)
    if about:
        _tell(chosen)
        return
    given = {key: value for key in report.FILTERS if (value := locals()[key])}
    first, last = _range(since, start, end, time.time())
    question = Question(
        start=first, end=last, by=by.replace("-", "_"), filters=given, limit=limit, step=_step(step), raw=raw
    )
    asked = report.prepare(chosen, question)
    config, _ = load(context.obj)
    store = Store(instance.find(config).clickhouse_url)
    ...
