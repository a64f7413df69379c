"""What an endpoint is sent: Standard Webhooks' ``{type, timestamp, data}`` as JSON. No I/O."""

import json
from collections.abc import Mapping
from typing import Any

from common.event import Type
from events.hooks.wanted import Row
from events.story import rfc3339

#: Bytes of a payload at most; Standard Webhooks 1.0 advises 20 KB.
LIMIT = 20_000
#: The events' types as payloads name them.
NAMES: dict[str, str] = {str(type_): f"message.{type_}" for type_ in Type} | {
    Type.DSN: "message.reported", Type.COMPLAINT: "message.complained", Type.AUTOREPLY: "message.autoreplied",
    Type.REPLY: "message.replied", Type.ADMIN: "admin.notice",
}  # fmt: skip
TEST = "webhook.test"

#: Columns that stand in ``data`` under their own names; what an event does not have is left out.
_PLAIN = (
    "submission", "delivery", "attempt", "sender", "recipient", "recipients", "domain", "message_id", "pool",
    "campaign", "tags", "meta", "status", "reason", "bounce_class", "bounce_type", "mx_host", "mx_address",
    "source_address", "interface", "size",
)  # fmt: skip
_RESPONSE = {"code": "code", "enhanced_code": "enhanced", "text": "text", "phase": "phase"}
#: All that ``payload`` looks at.
COLUMNS = ("id", "time", "type", *_PLAIN, *_RESPONSE, "next_attempt", "count", "webhook")
#: Characters of a text and how many of each list or map: less and less until it fits.
_MOST = ((2000, 100), (500, 20), (50, 2))


def identifier(row: Row) -> str:
    """The ``webhook-id``: always the same for an event. Standard Webhooks 1.0 has no full stop in it."""
    return str(row["id"]).replace(".", "_")


def payload(row: Row) -> bytes:
    """The body, the same whenever it is made; times in ``row`` are seconds since 1970."""
    data: dict[str, Any] = {"id": row["id"], "time": _time(row["time"])}
    data |= {name: list(value) if isinstance(value, tuple) else value for name in _PLAIN if (value := row.get(name))}
    if response := {key: value for name, key in _RESPONSE.items() if (value := row.get(name))}:
        data["response"] = response
    if at := row.get("next_attempt"):
        data["next_attempt"] = _time(at)
    if (count := row.get("count", 1)) > 1:
        data["count"] = count
    return body(NAMES.get(row["type"], f"message.{row['type']}"), data["time"], data)


def _time(seconds: float) -> str:
    """To the millisecond, as ClickHouse keeps it: a replay has the same."""
    return rfc3339(round(seconds * 1000) / 1000)


def body(type_: str, timestamp: str, data: dict[str, Any]) -> bytes:
    """The three as JSON of at most LIMIT bytes; ``data`` says ``shortened`` where something had to be left out."""
    for most in _MOST:
        shorter = {name: _short(value, *most) for name, value in data.items()}
        if shorter != data:
            shorter["shortened"] = True
        made = {"type": type_, "timestamp": timestamp, "data": shorter}
        text = json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= LIMIT:
            break
    return text


def _short(value: Any, length: int, items: int) -> Any:
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, Mapping):
        return {key[:length]: _short(part, length, items) for key, part in list(value.items())[:items]}
    if isinstance(value, list | tuple):
        return [_short(part, length, items) for part in value[:items]]
    return value
