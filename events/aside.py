"""What was set aside: rows and messages that could not be recorded, asked of the database and told to people."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from events.store import NoTableError, Store
from events.story import printable, rfc3339

#: For who sees the list.
REMEDY = (
    "What is listed here is in no report. A message of a later version can be read by that one; a refused row names"
    " the value, or the constraint that somebody put on the table. --json gives the bytes as well."
)

_COLUMNS = "time, stream, stream_sequence, row_number, reason, hex(message) AS message"
_QUERY = f"""SELECT {_COLUMNS} FROM events_set_aside
    WHERE time >= fromUnixTimestamp64Milli({{since:Int64}})
    ORDER BY time DESC, stream_sequence DESC, row_number DESC LIMIT {{limit:UInt32}}"""
_CONTAINING = f"""SELECT {_COLUMNS} FROM events_set_aside
    WHERE arrayExists(text -> positionCaseInsensitive(events_set_aside.message, text) > 0
        OR positionCaseInsensitive(reason, text) > 0, {{texts:Array(String)}})"""
_REMOVE = """ALTER TABLE events_set_aside DELETE
    WHERE concat(stream, ' ', toString(stream_sequence), ' ', toString(row_number)) IN {places:Array(String)}"""
#: Rows that are removed at a time: their places stand in a URL.
_AT_ONCE = 500

Row = Mapping[str, Any]


def set_aside(store: Store, *, since: float = 0, limit: int = 1000) -> list[Row]:
    """What was set aside since a time (seconds since 1970), oldest first, of more than ``limit`` the newest.

    Raises NotReachableError, RefusedError.
    """
    try:
        rows = store.query(_QUERY, {"since": int(since * 1000), "limit": limit})
    except NoTableError:
        return []
    return [row | {"message": bytes.fromhex(row["message"])} for row in reversed(rows)]


def containing(store: Store, texts: Sequence[str]) -> list[Row]:
    """What has one of these in its bytes or its reason. Raises NotReachableError, RefusedError."""
    try:
        rows = store.query(_CONTAINING, {"texts": list(texts)})
    except NoTableError:
        return []
    return [row | {"message": bytes.fromhex(row["message"])} for row in rows]


def remove(store: Store, rows: Sequence[Row]) -> None:
    """Remove them; they are gone when it returns. Raises NotReachableError, RefusedError."""
    for start in range(0, len(rows), _AT_ONCE):
        places = [f"{row['stream']} {row['stream_sequence']} {row['row_number']}" for row in rows[start:][:_AT_ONCE]]
        store.change(_REMOVE, {"places": places})


def line(row: Row) -> Text:
    """One of them."""
    where = f"message {row['stream_sequence']}, row {row['row_number']}, {len(row['message'])} bytes"
    return printable((rfc3339(row["time"].timestamp()), "bold"), f"  {where}: {row['reason']}")


def to_json(row: Row) -> str:
    """One of them as a line of JSON; ``message``, as it lay in EVENTS, in base64."""
    message = base64.b64encode(row["message"]).decode()
    return json.dumps({**row, "time": rfc3339(row["time"].timestamp()), "message": message})
