"""Who is to be told of what: NOTIFY (RFC 3461) and BY (RFC 2852) of an entry."""

from common.entry import Entry
from common.queue.reports import Kind
from outbound.smtp import Extensions


def of_failure(entry: Entry) -> bool:
    """Whether its sender is told that it failed or expired (RFC 3461 5.2.6)."""
    return not entry.notify or "FAILURE" in entry.notify


def of_relaying(entry: Entry, offered: Extensions) -> bool:
    """Whether its sender is told that it was passed on to a server with these extensions.

    RFC 3461 5.2.2 b: where success is asked for and the server will not tell. RFC 2852 4.1.4.2: where the server
    will not look after the time that BY gave, but not with NOTIFY=NEVER.
    """
    if "SUCCESS" in entry.notify and not offered.dsn:
        return True
    return bool(entry.deliver_by) and not offered.deliver_by and entry.notify != "NEVER"


def delays(entry: Entry, after: float) -> list[tuple[float, Kind]]:
    """When its sender is to be told that it is not delivered yet, of which kind; the earliest first.

    ``after``: seconds from acceptance, for mail sent later from its due time. Without NOTIFY nobody is told of a
    delay (RFC 3461 4.1 leaves that to us), unless BY asks for it.
    """
    due = []
    if "DELAY" in entry.notify:
        due.append((entry.waits_since + after, Kind.DELAY))
    if entry.deliver_by and (not entry.notify or "DELAY" in entry.notify):
        due.append((entry.deliver_by, Kind.DELIVER_BY))
    return sorted((at, kind) for at, kind in due if kind not in entry.reported)
