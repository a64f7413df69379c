"""Reports: what was recorded, added up by the SQL files of ``conf/reports``.

A file begins with a comment: the question it answers, on one line; then, after a bare ``--``, what can be said about
it (``by``: the columns it can be grouped by, the first unless said; ``filters``: by what it can be narrowed down, all
unless said; ``needs``: columns that not every table has; ``chart``: columns that are drawn; ``limit``), and last, each
by its name, what its columns mean, with their unit in parentheses.

The same query asks the rollups, where they have the columns and the range begins and ends with their steps, or the
events themselves. Everything that a user says goes as a bound parameter.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from common.config import Events
from common.errors import UsageError
from common.recipients import lower
from common.units import format_duration
from events.schema import KEPT
from events.store import Store, translated

HOUR, MINUTE = 3600, 60


@dataclass(frozen=True, slots=True)
class Report:
    """One file of ``conf/reports``."""

    name: str
    title: str
    by: tuple[str, ...]
    filters: tuple[str, ...]
    needs: tuple[str, ...]
    chart: tuple[str, ...]
    limit: int
    notes: str
    """What else there is to know, some paragraphs."""
    columns: dict[str, str]
    """Name to meaning; without the column it is grouped by."""
    sql: str

    def unit(self, column: str) -> str:
        """``seconds``, ``bytes``, ``percent`` or ``""``."""
        found = re.search(r"\((seconds|bytes|percent)\)$", self.columns.get(column, ""))
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Source:
    """A table with counted events, how many seconds of them a row of it stands for, and its dimensions."""

    table: str
    step: int
    columns: frozenset[str]


_BOTH = {"pool", "provider", "reason", "bounce_class", "bounce_type"}
_TRAFFIC = frozenset(_BOTH | {"campaign", "sender_domain", "source_address", "tls_version"})
_DOMAINS = frozenset(_BOTH | {"domain"})
#: What reports can be narrowed down by, each to any of several values.
FILTERS = (
    "pool", "provider", "domain", "campaign", "tag", "sender", "sender_domain", "source_address", "worker", "site",
    "interface", "client_address", "bounce_class",
)  # fmt: skip
#: Those whose case says nothing.
_LOWER = ("domain", "sender", "sender_domain", "site")
_EVENTS = _TRAFFIC | set(FILTERS) - {"tag"} | {"tags", "submission", "phase", "attempt", "said"}
#: The fewer rows the sooner asked. Tags multiply rows, so only what needs them asks the last one.
SOURCES = (
    Source("traffic_by_hour", HOUR, _TRAFFIC),
    Source("domains_by_hour", HOUR, _DOMAINS),
    Source("traffic_by_minute", MINUTE, _TRAFFIC),
    Source("domains_by_minute", MINUTE, _DOMAINS),
    Source("events_counted", 0, _EVENTS),
    Source("events_by_tag", 0, _EVENTS | {"tag"}),
)
#: What is taken from columns that are emptied earlier than their rows go, but for a rollup's sender_domain.
_PERSONAL = {"sender", "sender_domain", "client_address", "said"}
#: Lengths of a step over time, and how many of them a table bears.
STEPS = (60, 300, 900, 1800, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 86400, 7 * 86400)
_ROWS = 40
_ASKED_FOR = "/* AND what was asked for */"
_EXPORT = {"date_time_output_format": "iso"}
_RANGE = (
    "time >= fromUnixTimestamp64Milli({from:Int64})",
    "time < fromUnixTimestamp64Milli({to:Int64})",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a report; ``start`` and ``end`` are whole seconds since 1970, the end is not in it."""

    start: int
    end: int
    by: str = ""
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column to the values it may have."""
    limit: int = 0
    """Rows at most; 0: as the report says."""
    step: int = 0
    """Seconds of a step over time; 0: as suits the range."""
    raw: bool = False
    """Count the events themselves, not the rollups."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement for ClickHouse with its parameters, and the table it asks."""

    sql: str
    parameters: dict[str, Any]
    source: str


@cache
def reports() -> dict[str, Report]:
    """All of them by name, in alphabetical order."""
    found = ((file.name.removesuffix(".sql"), file) for file in (files("conf") / "reports").iterdir())
    return {name: _read(name, file.read_text()) for name, file in sorted(found)}


def find(name: str) -> Report:
    """The report of this name. Raises UsageError, which names the nearest."""
    known = reports()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise UsageError(f"{name!r} is no report; {hint}")
    return known[name]


def prepare(report: Report, question: Question) -> Asked:
    """What to ask ClickHouse. Raises UsageError for what the report does not know."""
    by = question.by or next(iter(report.by), "")
    if by and by not in report.by:
        raise UsageError(f"{report.name} has no --by {by}; there are {', '.join(report.by) or 'none'}")
    wrong = [name for name in question.filters if name not in report.filters]
    if wrong:
        raise UsageError(f"{report.name} cannot tell by {wrong[0]}; what narrows it down: {', '.join(report.filters)}")
    step = question.step or next(
        (step for step in STEPS if (question.end - question.start) / step <= _ROWS), STEPS[-1]
    )
    uses_step = "{step:" in report.sql
    lines = math.ceil((question.end - question.start) / step)
    if uses_step and lines > report.limit and not question.limit:  # the last ones would be left out
        raise UsageError(f"{report.name} has {report.limit} lines at most: a longer --step, or --limit {lines + 1}")
    narrowed = {"tags" if name == "tag" else name for name in question.filters}
    source = _source({by, *narrowed, *report.needs} - {""}, question, step if uses_step else 0)
    parameters: dict[str, Any] = {
        "source": source.table, "from": question.start * 1000, "to": question.end * 1000,
        "limit": question.limit or report.limit,
    } | ({"by": by} if by else {}) | ({"step": step} if uses_step else {})  # fmt: skip
    conditions = list(_RANGE)
    for name, values in question.filters.items():
        parameters[name] = [lower(value) if name in _LOWER else value for value in values]
        conditions.append(_condition(name))
    sql = report.sql.replace(_ASKED_FOR, "".join(f"\n    AND {condition}" for condition in conditions))
    return Asked(sql, parameters, source.table)


def missing(report: Report, question: Question, asked: Asked, keep: Events, now: float) -> str:
    """What of the range is not kept any more, so that the numbers are too small; ``""``: nothing."""
    key = KEPT.get(asked.source, "keep")
    if key == "keep" and not _PERSONAL.isdisjoint({asked.parameters.get("by"), *question.filters, *report.needs}):
        key = min(key, "keep_personal", key=lambda name: getattr(keep, name))
    kept = getattr(keep, key)
    if question.start >= now - kept:
        return ""
    return f"what is older than {format_duration(kept)} may be missing: [events] {key}"


def _condition(name: str) -> str:
    if name == "tag":
        return "hasAny(tags, {tag:Array(String)})"
    column = "lower(sender)" if name == "sender" else name
    return f"{column} IN {{{name}:Array(String)}}"


def rows(store: Store, asked: Asked) -> list[dict[str, Any]]:
    """The answer. Raises NotReachableError or RefusedError."""
    return store.query(asked.sql, asked.parameters)


def exported(store: Store, asked: Asked, format: str) -> bytes:
    """The answer in a format of ClickHouse's; times as RFC 3339. Raises NotReachableError or RefusedError."""
    with translated():
        return store.client.raw_query(asked.sql, asked.parameters, _EXPORT, fmt=format)


def _source(needed: set[str], question: Question, step: int) -> Source:
    """The smallest table that answers exactly."""
    return next(
        source
        for source in SOURCES
        if needed <= source.columns
        and not (question.raw and source.step)
        and (not source.step or question.start % source.step == question.end % source.step == step % source.step == 0)
    )


def _read(name: str, text: str) -> Report:
    head, sql = re.fullmatch(r"((?:--[^\n]*\n)+)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    title, *blocks = re.split(r"\n--\n", head.strip())
    said: dict[str, str] = {}
    columns: dict[str, str] = {}
    notes: list[str] = []
    for number, block in enumerate(blocks):
        lines = [line.removeprefix("-- ") for line in block.splitlines()]
        pairs = [line.partition(": ") for line in lines]
        if number == len(blocks) - 1:
            columns = {key: value for key, _, value in pairs}
        elif all(key in ("by", "filters", "needs", "chart", "limit") for key, *_ in pairs):
            said = {key: value for key, _, value in pairs}
        else:
            notes.append(" ".join(lines))
    by, filters, needs, chart = (tuple(said.get(key, "").split()) for key in ("by", "filters", "needs", "chart"))
    return Report(
        name=name, title=title.removeprefix("-- "), by=by, filters=filters or tuple(FILTERS), needs=needs, chart=chart,
        limit=int(said.get("limit", 20)), notes="\n".join(notes), columns=columns, sql=sql,
    )  # fmt: skip
