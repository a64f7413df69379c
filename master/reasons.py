"""What holds a domain's mail back: each function below knows one cause."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.units import format_duration
from master.explain import Known
from outbound.learn import described


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that holds mail back. Times are seconds since 1970; 0: not known."""

    kind: str
    """``route``, ``order``, ``workers``, ``hold``, ``site``, ``limit``, ``held``."""
    text: str
    since: float = 0
    until: float = 0


def reasons(known: Known) -> list[Reason]:
    """All of them, those that stop everything first."""
    return [reason for cause in CAUSES for reason in cause(known)]


def _route(known: Known) -> Iterator[Reason]:
    if failure := known.failure:
        policy = known.policy
        if failure.permanent:
            then = "mail is returned to its sender at once"
        else:
            first = format_duration(policy.retry[0] if policy.retry else policy.retry_first)
            then = f"mail is deferred, the first time for {first}, and given up after {format_duration(policy.expire)}"
        yield Reason("route", f"{failure}; {then}")


def _orders(known: Known) -> Iterator[Reason]:
    """An order about a campaign, a tag … is named where it holds some of the mail, or where that was not counted."""
    for order in known.orders:
        held, narrow = known.ordered[order.id], not order.match.covers_domain
        if held or not (narrow and known.exact):
            which = f"mail with {order.match} is " if narrow else ""
            count = f"; {held} of what is queued" if known.exact else ""
            yield Reason("order", f"{which}{order}{count}", order.since, order.until)


def _workers(known: Known) -> Iterator[Reason]:
    if not (known.missing or known.said.live.get(known.pool)):
        yield Reason("workers", f"none of pool {known.pool} runs")
    for worker in sorted(known.said.silent):
        yield Reason("workers", f"{worker} does not answer")


def _holds(known: Known) -> Iterator[Reason]:
    for hold in known.holds:
        yield Reason("hold", f"{described(hold)} by {hold.by}: {hold.why}", hold.since, hold.until)


def _site(known: Known) -> Iterator[Reason]:
    """A site is down for each worker by itself; the last one to try it counts."""
    down = {site.down: site.down_until for site in sorted(known.said.sites, key=lambda site: site.down_until)}
    for text, until in down.items():
        if until:
            yield Reason("site", f"the site is left alone: {text}", 0, until)


def _limits(known: Known) -> Iterator[Reason]:
    now = time.time()
    for limit, use in known.said.uses.items():
        if use.waiting and use.used >= limit.amount:
            yield Reason("limit", f"{limit}: {use.used} in use, {use.waiting} more asked for")
        elif use.wait and known.queued and known.queued.ready:
            what = "no token" if limit.per else "nothing is granted"
            yield Reason("limit", f"{limit}: {what}", 0, now + use.wait)


def _held(known: Known) -> Iterator[Reason]:
    held = known.queued.held - known.ordered.total() if known.queued else 0
    if held and (known.exact or not known.orders):
        yield Reason("held", f"{held} set aside; 'postjet queue --held' says why")


CAUSES: list[Callable[[Known], Iterator[Reason]]] = [_route, _orders, _workers, _holds, _site, _limits, _held]
