"""What people see of a report."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from events import report, report_text
from events.report import Question

QUESTION = Question(start=1_790_000_000, end=1_790_003_601, filters={"pool": ["default", "bulk"], "campaign": [""]})


def shown(*what: Any) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(*what)
    return capture.get()


def test_a_heading_tells_what_was_asked() -> None:
    chosen = report.find("outcomes")
    asked = report.prepare(chosen, QUESTION)
    assert shown(report_text.heading(chosen, QUESTION, asked)) == (
        "outcomes by provider  2026-09-21 14:13:20 to 2026-09-21 15:13:21 UTC, pool default or bulk, campaign -,"
        " from events_counted\n"
    )
    assert "nothing was recorded" in shown(report_text.nothing(chosen, QUESTION, asked))


def test_a_table_with_bars() -> None:
    rows = [
        {"start": datetime(2026, 9, 21, 14, tzinfo=UTC), "transactions": 12000, "delivered": 6000, "deferred": 6000,
         "bounced": 0, "expired": 0, "stopped": 0},
        {"start": datetime(2026, 9, 21, 15, tzinfo=UTC), "transactions": 3001, "delivered": 3000, "deferred": 0,
         "bounced": 1, "expired": 0, "stopped": 0},
    ]  # fmt: skip
    *head, first, second = shown(report_text.table(report.find("volume"), rows)).splitlines()
    assert [line.split()[-2:] for line in head] == [["█", "delivered"], ["▒", "deferred"], ["░", "bounced"]]
    assert first.split() == ["2026-09-21", "14:00", "12,000", "6,000", "6,000", "0", "0", "0", "█" * 10 + "▒" * 10]
    assert second.split()[-1] == "█" * 5 + "░"  # one of three thousand is seen


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567, "", "1,234,567"),
        (99.5, "percent", "99.50%"),
        (0.5, "", "0.50"),
        (0.0312, "seconds", "0.031s"),
        (7300.0, "seconds", "2h01m"),
        (76.1, "seconds", "1m16s"),  # 1m would be below the true one
        (datetime(2026, 9, 21, 14, 0, tzinfo=UTC), "", "2026-09-21 14:00"),
        (datetime(2026, 9, 21, 14, 0, 15, tzinfo=UTC), "", "2026-09-21 14:00:15"),  # a step of 15 s
        (datetime(2026, 9, 21, 14, 0, 15, 250_000, tzinfo=UTC), "", "2026-09-21 14:00"),
        (4_300_000, "bytes", "4.3 MB"),
        (math.nan, "seconds", ""),
        ("", "", "-"),
        ("a\x1b[31mb", "", "a\N{REPLACEMENT CHARACTER}[31mb"),
        ("[bold]x", "", "[bold]x"),
    ],
)
def test_cells(value: Any, unit: str, text: str) -> None:
    assert str(report_text.cell(value, unit)) == text


def test_a_narrow_terminal_loses_nothing() -> None:
    row = {"interface": "relay"} | dict.fromkeys(report.find("intake").columns, 1_000_000)
    console = Console(width=30)
    with console.capture() as capture:
        report_text.show(console, Text("title"), report.find("intake"), [row])
    assert capture.get().count("1,000,000") == 3
    assert "█" not in capture.get()  # bars on broken lines say nothing


def test_no_bars_of_nothing() -> None:
    assert str(report_text.bar([0, 0], 0)) == ""
