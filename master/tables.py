"""What commands print: tables for people, JSON for programs."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_json(value: Any) -> None:
    """Print a value for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: list[dict[str, str]]) -> None:
    """Print rows, at least one; columns that no row fills are left out."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(row[column]) for column in columns))
    Console(highlight=False).print(table)
