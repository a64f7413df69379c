"""What ``postjet explain`` prints for people."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from common.limits.limit import Limit
from common.policies.policy import Policy
from common.policies.rules import CURVE, SCALARS
from common.units import format_duration
from common.workers import Waiting
from events.story import printable
from master.explain import Known
from master.reasons import Reason
from master.tables import aligned, times

#: Values of a policy that are seconds.
_SECONDS = {"connect_timeout", "command_timeout", "site_down", "retry_first", "retry_max", "expire"}


def show(known: Known, reasons: list[Reason]) -> None:
    """Print the page."""
    console = Console(highlight=False, soft_wrap=True)
    for line in page(known, reasons):
        console.print(printable((line, "bold" if line.endswith(":") and line[0] != " " else "")))


def page(known: Known, reasons: list[Reason]) -> Iterable[str]:
    """Its lines; a heading begins its line and ends in a colon."""
    yield from aligned(
        [("" if number else name, line) for name, own in _facts(known) for number, line in enumerate(own)]
    )
    if known.limits:
        yield from ("", "limits:")
        rows = [(limit.number, limit.what, limit.key, _use(known, limit), limit.origin) for limit in known.limits]
        yield from aligned(
            [("  at most", "what", "of", "now", "from"), *((f"  {first}", *row) for first, *row in rows)]
        )
    yield from ("", "other values:")
    yield from aligned([*_values(known.policy), ("  all others", "their default", "")])
    yield from ("", "held back by:")
    held = [_with_times(reason.text, reason.since, reason.until) for reason in reasons]
    held += [_waiting(known, line) for line in known.said.lines]
    yield from held or ["  nothing that is known" if known.missing else "  nothing"]
    if known.missing:
        yield from ("", f"What workers, queue, KV and reply rules say is not known: {known.missing}")


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
    sites = [(one, f", from {one.source}" if one.source else "") for one in known.said.sites if one.busy or one.idle]
    yield "connected", [f"{one.busy} in use, {one.idle} idle{source}, by {one.worker}" for one, source in sites]
    if queued := known.queued:
        if known.exact:
            text = f"{queued.ready} ready, {queued.deferred} deferred, {queued.scheduled} scheduled, {queued.held} held"
        else:
            text = f"about {queued.ready} ready, {queued.deferred} deferred or scheduled, {queued.held} held"
        yield "queued", [text]


def _use(known: Known, limit: Limit) -> str:
    use = known.said.uses.get(limit)
    if use is None:
        return "not known"
    parts = [] if limit.per else [f"{use.used} in use"]
    if use.waiting:
        parts.append(f"{use.waiting} more asked for")
    if use.wait:
        parts.append(f"nothing for {format_duration(use.wait)}")
    return ", ".join(parts) or "free"


def _values(policy: Policy) -> Iterable[tuple[str, str, str]]:
    """Those that are written somewhere and count."""
    for name in SCALARS:
        if name in policy.origins and not (policy.retry and name in CURVE):
            yield f"  {name}", _value(name, getattr(policy, name)), policy.origins[name]


def _value(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(format_duration, value))
    return format_duration(value) if name in _SECONDS else str(value)


def _waiting(known: Known, line: Waiting) -> str:
    number = line.domains[known.domain]
    what = "delivery waits" if number == 1 else "deliveries wait"
    return _with_times(f"{number} {what} in {line.worker} for {line.waits_for}", line.since, line.until)


def _with_times(text: str, since: float, until: float) -> str:
    said = times(since, until)
    return f"  {text} ({said})" if said else f"  {text}"
