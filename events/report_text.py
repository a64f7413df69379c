"""A report's answer for people: a table, with bars for what can be drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from common.units import format_duration, format_size
from events.report import Asked, Question, Report
from events.story import printable

#: Cells of the longest bar.
WIDTH = 20
#: Characters of a text that stay in one line wherever there is room for a table.
_READABLE = 9
_WIDEST = 1000
#: What the columns of a chart are drawn with, one after the other: told apart without colours too.
_SIGNS = (("█", "green"), ("▒", "yellow"), ("░", "red"))


def heading(report: Report, question: Question, asked: Asked) -> Text:
    """What was asked, of which time, and of which table."""
    by = asked.parameters.get("by")
    title = f"{report.name} by {by}" if by else report.name
    return printable((title, "bold"), f"  {_asked_for(question)}, from {asked.source}")


def nothing(report: Report, question: Question, asked: Asked) -> Text:
    """That there is nothing to tell."""
    return printable(f"{report.name}: nothing was recorded {_asked_for(question)}, in {asked.source}")


def table(report: Report, rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows, of which there is at least one. Texts are folded, nothing else is."""
    found = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1))
    for name, value in rows[0].items():
        head = name.replace("_", "\n")
        texts = [*head.splitlines(), *(cell(row[name], report.unit(name)).plain for row in rows)]
        shown = max(map(len, texts))
        least = min(_READABLE, shown) if isinstance(value, str) else shown
        justify: Literal["left", "right"] = "right" if isinstance(value, int | float) else "left"
        found.add_column(head, justify=justify, overflow="fold", min_width=least)
    if report.chart:
        legend = "\n".join(f"{sign} {name}" for (sign, _), name in zip(_SIGNS, report.chart, strict=False))
        found.add_column(legend, no_wrap=True, min_width=WIDTH)
    most = max(sum(row[name] for name in report.chart) for row in rows)
    for row in rows:
        cells = [cell(value, report.unit(name)) for name, value in row.items()]
        bars = [bar([row[name] for name in report.chart], most)] if report.chart else []
        found.add_row(*cells, *bars)
    return found


def show(console: Console, heading: Text, report: Report, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print them; where a terminal is too narrow bars are left out, and if need be lines are broken, but no numbers."""
    shown = table(report, rows)
    if _least(console, shown) > console.width:
        shown = table(replace(report, chart=()), rows)
    console.width = max(console.width, _least(console, shown))
    console.print(heading)
    console.print(shown)


def _least(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update_width(_WIDEST), table).minimum


def cell(value: Any, unit: str) -> Text:
    """A value as people read it."""
    if isinstance(value, datetime):
        seconds = "" if value.microsecond or not value.second else ":%S"  # of a step; of an event they say nothing
        return Text(value.astimezone(UTC).strftime(f"%Y-%m-%d %H:%M{seconds}"))
    if isinstance(value, int | float):
        return Text(_number(value, unit))
    return printable(_named(str(value)))


def bar(parts: Sequence[float], most: float) -> Text:
    """Parts of a whole, drawn one after the other; ``most`` would be WIDTH cells. What is more than none is seen."""
    drawn = Text()
    for (sign, style), part in zip(_SIGNS, parts, strict=False):
        drawn.append(sign * (max(1, round(WIDTH * part / most)) if part else 0), style)
    return drawn


def _number(value: float, unit: str) -> str:
    if value != value:  # nothing was measured
        return ""
    if unit == "seconds":
        minutes, seconds = divmod(int(value), 60)
        return f"{minutes}m{seconds:02d}s" if 0 < minutes < 60 else format_duration(value)
    if unit == "bytes":
        return format_size(value)
    text = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
    return text + ("%" if unit == "percent" else "")


def _asked_for(question: Question) -> str:
    narrowed = "".join(f", {name} {' or '.join(map(_named, values))}" for name, values in question.filters.items())
    return f"{_moment(question.start)} to {_moment(question.end)} UTC{narrowed}"


def _named(value: str) -> str:
    return value or "-"


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")
