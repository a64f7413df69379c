"""What commands print: tables for people, JSON for programs."""

import json
import time
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.units import format_duration


def print_json(value: Any) -> None:
    """Print a value for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, its cells under one another; long ones are not folded, so that they can be copied."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def times(since: float, until: float) -> str:
    """How long something lasts: ``since 5m, for another 55m, until Nov 22 06:12:01``; 0 for what is not known."""
    now = time.time()
    said = [f"since {format_duration(max(0.0, now - since))}"] if since else []
    if until > now:
        end = time.strftime("%b %e %H:%M:%S", time.localtime(until))
        said += [f"for another {format_duration(until - now)}, until {end}"]
    return ", ".join(said)


def print_table(rows: list[dict[str, str]]) -> None:
    """Print rows, at least one; columns that no row fills are left out."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[column]) for column in columns))
    Console(highlight=False).print(table)
