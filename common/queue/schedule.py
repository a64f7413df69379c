"""The broker's own schedules (ADR-51): an entry on ``s.`` that the broker moves to ``q.`` when it is due."""

from collections.abc import Mapping
from datetime import UTC, datetime

from common.broker import Message, with_id
from common.subjects import SCHEDULED, as_kind

_AT = "@at "


def scheduled(ready: str, body: bytes, identifier: str, at: float) -> Message:
    """An entry to be ready at a time (seconds since 1970); ``ready`` is its ``q.`` subject.

    One per delivery: a second one replaces the first.
    """
    headers = schedule_headers(ready, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
    return with_id(as_kind(SCHEDULED, ready), body, identifier, **headers)


def schedule_headers(ready: str, at: str) -> dict[str, str]:
    """What makes a message a schedule; ``at`` as RFC 3339 writes it."""
    # the fired entry replaces an older copy of itself
    return {"Nats-Schedule": f"{_AT}{at}", "Nats-Schedule-Target": ready, "Nats-Schedule-Rollup": "sub"}


def due(headers: Mapping[str, str]) -> str:
    """When a stored schedule fires, RFC 3339; ``""`` for what is none."""
    return headers.get("Nats-Schedule", "").removeprefix(_AT)


def is_due(headers: Mapping[str, str], now: float) -> bool:
    """Whether a stored schedule should have fired by ``now`` (seconds since 1970)."""
    at = due(headers)
    return bool(at) and datetime.fromisoformat(at).timestamp() <= now
