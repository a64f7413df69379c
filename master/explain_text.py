"""What ``postjet explain`` prints for people."""

import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.limits.limit import Limit
from common.policies.policy import Policy
from common.policies.rules import SCALARS
from common.units import Rate, format_duration
from common.workers import Waiting
from events.story import printable
from master.explain import Known
from master.reasons import Reason

#: Values of a policy that are seconds.
_SECONDS = {
    "connect_timeout", "command_timeout", "site_down", "retry", "retry_first", "retry_max", "expire",
}  # fmt: skip


def show(known: Known, reasons: list[Reason]) -> None:
    """Print the page."""
    console = Console(highlight=False, soft_wrap=True)
    for name, lines in _facts(known):
        for number, line in enumerate(lines):
            console.print(printable(f"{'' if number else name:<10} {line}"))
    if known.limits:
        console.print(Text("\nlimits", style="bold"), _limits(known), sep="\n")
    console.print(Text("\nother values", style="bold"), _values(known.policy), sep="\n")
    console.print(Text("\nheld back by", style="bold"))
    for reason in reasons:
        console.print(printable(f"  {reason.text}{_times(reason.since, reason.until)}"))
    for waiting in known.said.lines:
        console.print(printable(f"  {_waiting(known, waiting)}"))
    if not (reasons or known.said.lines):
        console.print("  nothing that is known" if known.missing else "  nothing")
    if known.missing:
        console.print(printable(f"\nnot known: what workers, queue, KV and reply rules say, for {known.missing}"))


def _facts(known: Known) -> Iterable[tuple[str, list[str]]]:
    yield "domain", [known.domain]
    hosts = [f"{one.preference} {one.name}  {' '.join(one.addresses) or '(no address)'}" for one in known.hosts]
    yield "MX", hosts or [str(known.failure)]
    if known.route:
        yield "site", [known.route.key]
    if known.policy.provider:
        yield "provider", [known.policy.provider]
    sources = ", ".join(known.config.pools[known.pool].source_addresses) or "the address that the system chooses"
    yield "pool", [f"{known.pool}, from {sources}, as {known.ehlo}"]
    sites = [(one, f", from {one.source}" if one.source else "") for one in known.said.sites]
    yield "open", [f"{one.busy} connections in use, {one.idle} idle{source}, of {one.worker}" for one, source in sites]
    if queued := known.queued:
        if known.exact:
            text = f"{queued.ready} ready, {queued.deferred} deferred, {queued.scheduled} scheduled, {queued.held} held"
        else:
            text = f"about {queued.ready} ready, {queued.deferred} deferred or scheduled, {queued.held} held"
        yield "queued", [text]


def _limits(known: Known) -> Table:
    table = _table("what", "at most", "of", "now", "from")
    for limit in known.limits:
        number = str(Rate(limit.amount, limit.per) if limit.per else limit.amount)
        table.add_row(*map(Text, (limit.what, number, limit.key, _use(known, limit), limit.origin)))
    return table


def _use(known: Known, limit: Limit) -> str:
    use = known.said.uses.get(limit)
    if use is None:
        return "not known"
    wait = f"nothing for {format_duration(use.wait)}" if use.wait else "free"
    if limit.per:
        return wait
    return f"{use.used} in use" + (f", {use.waiting} wait" if use.waiting else "") + (f", {wait}" if use.wait else "")


def _values(policy: Policy) -> Table:
    table = _table("what", "value", "from")
    for name in SCALARS:
        if name in policy.origins:
            table.add_row(name, Text(_value(name, getattr(policy, name))), Text(policy.origins[name]))
    table.add_row("all others", "their default", "")
    return table


def _value(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(format_duration, value))
    return format_duration(value) if name in _SECONDS else str(value)


def _waiting(known: Known, line: Waiting) -> str:
    number = line.domains[known.domain]
    text = f"{number} {'delivery waits' if number == 1 else 'deliveries wait'} in {line.worker} for {line.waits_for}"
    return text + _times(line.since, line.until)


def _times(since: float, until: float) -> str:
    now = time.time()
    said = [f"since {format_duration(max(0.0, now - since))}"] if since else []
    said += [f"for another {format_duration(until - now)}, until {_clock(until)}"] if until > now else []
    return f" ({', '.join(said)})" if said else ""


def _clock(seconds: float) -> str:
    return time.strftime("%b %e %H:%M:%S", time.localtime(seconds))


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=True)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("what", "at most", "value"))
    return table
