"""What ``postjet explain --json`` prints."""

from dataclasses import asdict
from typing import Any

from common.limits.limit import Limit
from common.policies.rules import SCALARS
from events.story import rfc3339
from master.explain import Known
from master.reasons import Reason


def as_json(known: Known, reasons: list[Reason]) -> dict[str, Any]:
    """Times as RFC 3339, durations in seconds, ``null`` for what is not known or not there."""
    policy = known.policy
    return {
        "domain": known.domain,
        "pool": known.pool,
        "sources": known.config.pools[known.pool].source_addresses,
        "ehlo": known.ehlo,
        "hosts": [asdict(host) for host in known.hosts],
        "failure": _failure(known),
        "site": known.route.key if known.route else None,
        "provider": policy.provider or None,
        "limits": [_limit(known, limit) for limit in known.limits],
        "values": {name: {"value": getattr(policy, name), "origin": policy.origins.get(name)} for name in SCALARS},
        "connections": [
            {"worker": site.worker, "source": site.source or None, "busy": site.busy, "idle": site.idle}
            for site in known.said.sites
        ],
        "queued": _queued(known),
        "reasons": [
            {**asdict(reason), "since": _time(reason.since), "until": _time(reason.until)} for reason in reasons
        ],
        "waiting": [
            {"worker": line.worker, "source": line.source or None, "parked": line.domains[known.domain],
             "waits_for": line.waits_for, "since": _time(line.since), "until": _time(line.until)}
            for line in known.said.lines
        ],
        "missing": known.missing or None,
    }  # fmt: skip


def _failure(known: Known) -> dict[str, Any] | None:
    if not (failure := known.failure):
        return None
    return {name: getattr(failure, name) for name in ("permanent", "code", "enhanced", "text", "reason")}


def _limit(known: Known, limit: Limit) -> dict[str, Any]:
    values = asdict(limit) | {"per": limit.per or None, "now": None}
    if use := known.said.uses.get(limit):
        now = {"wait": round(use.wait, 3)}
        values["now"] = now if limit.per else now | {"used": use.used, "waiting": use.waiting}
    return values


def _queued(known: Known) -> dict[str, Any] | None:
    if not known.queued:
        return None
    counts = {name: getattr(known.queued, name) for name in ("ready", "deferred", "scheduled", "held")}
    return counts | {"exact": known.exact}


def _time(seconds: float) -> str | None:
    return rfc3339(seconds) if seconds else None
