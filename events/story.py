"""What happened, asked of the database and told to people.

A delivery is traced with the reports on it: their ids say that they belong together.

``trace`` and ``recent`` read; ``timeline``, ``line`` and ``to_json`` turn events into text.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from common.errors import UsageError
from common.event import Event, Status, Type
from common.ids import DELIVERY, SUBMISSION, id_time, report_id
from common.queue.reports import ABOUT, INTERFACE, Kind
from common.recipients import forms, hashed
from common.units import format_duration, format_size
from events.store import TIMES, NoTableError, Store

#: Where a row lay in the stream; rows that are recorded later lie further on.
Position = tuple[int, int]

_NAMES = [field.name for field in fields(Event)]
_DURATIONS = [name for name in _NAMES if name.startswith("time_")]
_SELECT = f"SELECT {', '.join(_NAMES)}, stream_sequence, row_number FROM events WHERE "
_NEWEST = " ORDER BY time DESC, stream_sequence DESC, row_number DESC LIMIT {limit:UInt32}"
_OLDEST = " ORDER BY stream_sequence, row_number LIMIT {limit:UInt32}"
_SINCE = " AND time >= fromUnixTimestamp64Milli({since:Int64})"
ADDRESS = (
    "(lower(sender) IN {addresses:Array(String)} OR lower(recipient) IN {addresses:Array(String)}"
    " OR hasAny(arrayMap(address -> lower(address), recipients), {addresses:Array(String)}))"
)
#: What ``recent`` can be asked for, each equal to a text.
FILTERS = [field.name for field in fields(Event) if isinstance(field.default, str)] + ["type", "tag"]
_FEW = 5
_CAME_BACK = (Type.DSN, Type.COMPLAINT, Type.AUTOREPLY, Type.REPLY, Type.UNSUBSCRIBED)
#: Reports that are asked for at a time: their ids stand in a URL.
_REPORTS = 1000
_STYLES = {
    Type.DELIVERED: "green", Type.DEFERRED: "yellow", Type.BOUNCED: "red", Type.EXPIRED: "red",
    Type.REJECTED: "red", Type.HELD: "magenta",
}  # fmt: skip


def trace(store: Store, what: str, limit: int = 1000, *, key: bytes | None = None) -> list[Event]:
    """Events of a submission's id, a delivery's id or a sender's or recipient's address, oldest first.

    Of more than ``limit`` the newest. Those of the reports on them follow. ``key``: of hashed recipients.
    Raises UsageError, NotReachableError, RefusedError.
    """
    parameters: dict[str, Any] = {"limit": limit}
    if match := DELIVERY.fullmatch(what):
        condition = "submission = {submission:String} AND delivery IN ('', {delivery:String})"
        parameters |= {"submission": match[1], "delivery": what}
    elif SUBMISSION.fullmatch(what):
        condition = "submission = {submission:String}"
        parameters |= {"submission": what}
    elif "@" in what:
        condition = ADDRESS
        parameters |= {"addresses": forms(key, what)}
    else:
        raise UsageError(f"{what!r} is neither the id of a submission or delivery nor an address")
    if "submission" in parameters:  # the id says when: older days need not be looked at
        condition += _SINCE
        parameters |= {"since": _day_before(parameters["submission"])}
    rows = _ask(store, condition + _NEWEST, parameters)
    events = [_event(row) for row in reversed(rows)]
    return events + _reports(store, events, limit)


def _reports(store: Store, events: list[Event], limit: int) -> list[Event]:
    """The events of the reports on deliveries, but for those that are among ``events``."""
    told = [event for event in events if event.delivery and event.interface != INTERFACE]
    ended = {event.delivery for event in told if event.status in (Status.DELIVERED, Status.UNDELIVERABLE)}
    delayed = {event.delivery for event in told if event.status == Status.DEFERRED}
    ids = {report_id(delivery) for delivery in ended}
    ids |= {report_id(delivery, kind) for delivery in delayed for kind in (Kind.DELAY, Kind.DELIVER_BY)}
    wanted, found = sorted(ids - {event.submission for event in events}), []
    for start in range(0, len(wanted), _REPORTS):
        some = wanted[start : start + _REPORTS]
        parameters = {"reports": some, "since": _day_before(some[0]), "limit": limit}
        rows = _ask(store, "submission IN {reports:Array(String)}" + _SINCE + _NEWEST, parameters)
        found += [_event(row) for row in reversed(rows)]
    return found


def _day_before(identifier: str) -> int:
    return int(id_time(identifier) * 1000) - 86_400_000


def recent(
    store: Store,
    *,
    since: float = 0,
    after: Position | None = None,
    where: Mapping[str, str] | None = None,
    limit: int = 1000,
    key: bytes | None = None,
) -> tuple[list[Event], Position]:
    """Events since a time (seconds since 1970) that match ``where``, oldest first, and where the last one lies.

    Without ``after`` the newest ``limit``, with it the next ``limit`` behind that position: asked again and
    again with what the last call gave back, nothing is left out and nothing comes twice. ``key``: of hashed recipients.
    Raises UsageError, NotReachableError, RefusedError.
    """
    conditions = ["time >= fromUnixTimestamp64Milli({since:Int64})"]
    parameters: dict[str, Any] = {"since": int(since * 1000), "limit": limit}
    for name, value in (where or {}).items():
        if name not in FILTERS:
            raise UsageError(f"events cannot be filtered by {name!r}; use one of {', '.join(FILTERS)}")
        conditions.append("has(tags, {tag:String})" if name == "tag" else f"{name} IN {{{name}:Array(String)}}")
        as_hashed = [hashed(key, value)] if key and name == "recipient" else []
        parameters[name] = value if name == "tag" else [value, *as_hashed]
    if after is not None:
        conditions.append("stream_sequence >= {sequence:UInt64}")  # alone it lets parts be skipped
        conditions.append("(stream_sequence, row_number) > ({sequence:UInt64}, {row:UInt32})")
        parameters |= {"sequence": after[0], "row": after[1]}
    rows = _ask(store, " AND ".join(conditions) + (_NEWEST if after is None else _OLDEST), parameters)
    rows.sort(key=_position)
    return [_event(row) for row in rows], _position(rows[-1]) if rows else after or (0, 0)


def matching(store: Store, conditions: str, parameters: dict[str, Any]) -> list[Event]:
    """All events for which conditions hold, an ORDER BY may follow them. Raises NotReachableError, RefusedError."""
    return [_event(row) for row in _ask(store, conditions, parameters)]


def count(store: Store, conditions: str, parameters: dict[str, Any]) -> int:
    """How many events there are for which conditions hold. Raises NotReachableError, RefusedError."""
    try:
        return int(store.query(f"SELECT count() AS n FROM events WHERE {conditions}", parameters)[0]["n"])
    except NoTableError:
        return 0


def _ask(store: Store, conditions: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        return store.query(_SELECT + conditions, parameters)
    except NoTableError:
        return []


def _position(row: Mapping[str, Any]) -> Position:
    return row["stream_sequence"], row["row_number"]


def _event(row: Mapping[str, Any]) -> Event:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value := row[name], list) else value for name in _NAMES}
    values |= {name: row[name].timestamp() for name in TIMES}
    values |= {name: round(row[name], 6) for name in _DURATIONS}  # from Float32
    return Event(**values)


def to_json(event: Event) -> str:
    """One line of JSON with every column; times as RFC 3339, ``null`` for none."""
    values = asdict(event)
    return json.dumps(values | {name: rfc3339(values[name]) if values[name] else None for name in TIMES})


def timeline(events: Sequence[Event]) -> Group:
    """The story of each submission: a heading, then a line for each event."""
    parts: list[Text] = []
    stories: dict[str, list[Event]] = {}
    for event in events:
        stories.setdefault(event.submission, []).append(event)
    for submission, own in stories.items():
        parts += [_heading(submission, own), *(_told(event, several=_several(own)) for event in own), Text()]
    return Group(*parts[:-1])


def line(event: Event) -> Text:
    """One event by itself."""
    to = f" → {event.recipient}" if event.recipient else ""
    who = f"{event.delivery or event.submission}  <{event.sender}>{to}: " if event.submission else _suppressed(event)
    return printable(rfc3339(event.time), "  ", _type(event), f"  {who}", _outcome(event))


def _several(events: Iterable[Event]) -> bool:
    return len({event.recipient for event in events if event.recipient}) > 1


def _heading(submission: str, events: Sequence[Event]) -> Text:
    if not submission:
        return Text("no submission", "bold")
    first = events[0]
    details = [f"from <{first.sender}>", format_size(first.size) if first.size else "", first.message_id,
               f"campaign {first.campaign}" if first.campaign else "",
               f"report on {first.meta[ABOUT]}" if ABOUT in first.meta else ""]  # fmt: skip
    return printable((submission, "bold"), "  ", ", ".join(filter(None, details)))


def _told(event: Event, *, several: bool) -> Text:
    number = f"attempt {event.attempt} " if event.attempt else ""
    to = f" to {event.recipient}" if event.recipient and (several or event.type == Type.DELIVERED) else ""
    colon = "" if _client(event) else ":"
    to = f" {whose}" if (whose := _suppressed(event)) else f"{to}{colon} "
    return printable(f"  {rfc3339(event.time)}  {number}", _type(event), to, _outcome(event))


def _suppressed(event: Event) -> str:
    """Whom an order is about, and for whose mail; none but those on suppressions name a recipient."""
    about = event.type == Type.ADMIN and event.recipient
    return f"{event.recipient}, mail of {event.sender or 'everybody'}: " if about else ""


def _type(event: Event) -> tuple[str, str]:
    return str(event.type), _STYLES.get(event.type, "cyan")


def _outcome(event: Event) -> str:
    """What there is to say, from who to what next."""
    happened = [_client(event), _reply(event), _remote(event)]
    if event.bounce_class:
        happened.append(f"{event.bounce_type} bounce: {event.bounce_class}")
    if took := event.time_dns + event.time_connect + event.time_transfer:
        happened.append(f"in {format_duration(took)}")
    if event.next_attempt:
        what = "to be sent" if event.type == Type.ACCEPTED else "next try"
        happened.append(f"{what} {rfc3339(event.next_attempt)}")
    happened += [f"signed by {_signer(signature)}" for signature in event.signatures]
    return ", ".join(filter(None, happened))


def _client(event: Event) -> str:
    if event.type not in (Type.ACCEPTED, Type.REJECTED):
        return ""
    times = f" {event.count} times" if event.count > 1 else ""
    few, more = ", ".join(event.recipients[:_FEW]), len(event.recipients) - _FEW
    recipients = f" for {few}{f' and {more} more' if more > 0 else ''}" if few else ""
    client = f"from {event.client_address} " if event.client_address else ""
    return f"{client}on {event.interface}{times}{recipients}"


def _reply(event: Event) -> str:
    enhanced = "" if event.text.startswith(event.enhanced_code) else event.enhanced_code
    reply = " ".join(filter(None, [str(event.code or ""), enhanced, event.text]))
    where = "found by" if event.type in _CAME_BACK else "at"
    phase = event.phase if event.phase in ("", "unmatched") else f"{where} {event.phase}"
    reason = ", ".join(filter(None, [event.reason if event.reason != event.text else "", phase]))
    return f"{reply} ({reason})" if reply and reason and event.type != Type.DELIVERED else reply or event.reason


def _remote(event: Event) -> str:
    address = f"[{event.mx_address}]" if event.mx_address else ""
    remote = " ".join(filter(None, ["by" if event.mx_host or address else "", event.mx_host, address]))
    return ", ".join(filter(None, [remote, event.tls_version]))


def _signer(signature: str) -> str:
    domain, _, rest = signature.partition(":")
    return f"{domain} ({rest.partition(':')[0]})" if rest else domain


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(*parts: str | tuple[str, str]) -> Text:
    """Text without what steers a terminal: much of it was written by strangers."""
    text = Text()
    for part in parts:
        words, style = (part, "") if isinstance(part, str) else part
        text.append("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words), style)
    return text
