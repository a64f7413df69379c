"""Everything that is recorded about one address: found, and erased.

An erased row stays, for what was counted has to go on adding up; what it says of a person is emptied. Statements that
change rows name them by their ids and never the address: ClickHouse keeps the text of such statements.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from common import event
from common.event import Event
from common.recipients import bare, forms
from events import aside, story
from events.store import Store

#: Rows of one change: their ids stand in a URL.
_AT_ONCE = 500
#: Looks, until nothing is found any more: rows may come while others are erased.
_LOOKS = 10
_QUOTED = """(match(text, {pattern:String}) OR match(sender, {pattern:String}) OR match(campaign, {pattern:String})
    OR arrayExists(tag -> match(tag, {pattern:String}), tags)
    OR arrayExists(value -> match(value, {pattern:String}), mapValues(meta)))"""
#: What an event of its own says of a person, as it is when it says nothing.
_OWN = dict.fromkeys(("recipient", "message_id", "envid", "client_address", "text"), "''")
_OWN |= {"recipients": "[]", "meta": "map()"}
#: Columns that may quote an address.
_QUOTING = {"sender": "''", "campaign": "''", "tags": "[]", "meta": "map()", "text": "''"}
#: One recipient of several, by its place.
_OTHERS = "arrayFilter((one, i) -> i != transform(id, {o_ids:Array(String)}, {o_places:Array(UInt32)}, toUInt32(0)), "
_OTHERS += "recipients, arrayEnumerate(recipients))"
#: Parts of other days are not looked at.
_WHEN = "time BETWEEN fromUnixTimestamp64Milli({first:Int64}) AND fromUnixTimestamp64Milli({last:Int64})"


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows."""

    events: int = 0
    set_aside: int = 0


class Person:
    """One address and the forms in which it may be recorded. ``key``: of hashed recipients."""

    def __init__(self, address: str, key: bytes | None) -> None:
        self.forms = forms(key, address)
        local, _, domain = map(re.escape, bare(address).rpartition("@"))
        # As Python and RE2 both read it. VERP has = for @, and the address inside another's local part.
        ways = [rf"(?:^|[^0-9A-Za-z._+-]){local}(?:@|%40){domain}", rf"(?:^|[^0-9A-Za-z._]){local}={domain}"]
        ends = r"\.?(?:[^0-9A-Za-z.-]|$)"
        self.pattern = f"(?i)(?:(?:{'|'.join(ways)}){ends}{''.join('|' + re.escape(form) for form in self.forms[1:])})"
        self._pattern = re.compile(self.pattern)

    def is_(self, address: str) -> bool:
        """Whether it is this one."""
        return bare(address) in self.forms

    def owns(self, event: Event) -> bool:
        """Whether an event is about nobody else."""
        return self.is_(event.recipient) or (bool(event.recipients) and all(map(self.is_, event.recipients)))

    def is_quoted(self, value: Any) -> bool:
        """Whether a text, one of several, or a value of a map quotes it."""
        values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        return any(self._pattern.search(text) for text in values if isinstance(text, str))


def find(store: Store, person: Person) -> list[Event]:
    """The events about an address, oldest first. Raises NotReachableError, RefusedError."""
    parameters = {"addresses": person.forms, "pattern": person.pattern}
    return story.matching(store, f"({story.ADDRESS} OR {_QUOTED}) ORDER BY time", parameters)


def without_others(event: Event, person: Person) -> Event:
    """An event to be shown to that person: other recipients of the same mail are left out."""
    return replace(event, recipients=tuple(filter(person.is_, event.recipients)))


def find_aside(store: Store, person: Person) -> list[aside.Row]:
    """What was set aside and quotes it; what cannot be read counts where the address stands in it somewhere."""
    found = aside.containing(store, [*person.forms, person.forms[0].replace("@", "=")])
    return [row for row in found if _is_in(row, person)]


def _is_in(row: aside.Row, person: Person) -> bool:
    if person.is_quoted(row["reason"]):
        return True
    try:
        events = event.unpack(row["message"])
    except ValueError:
        return True
    return any(person.is_quoted(value) for event in events for value in event.values())


def erase(store: Store, person: Person) -> Erased:
    """Empty what rows say about an address, and remove what is set aside with it; it is done when this returns.

    Raises NotReachableError, RefusedError.
    """
    ids, set_aside = set[str](), 0
    for _ in range(_LOOKS):
        found, found_aside = find(store, person), find_aside(store, person)
        if not found and not found_aside:
            break
        for start in range(0, len(found), _AT_ONCE):
            _empty(store, found[start : start + _AT_ONCE], person)
        aside.remove(store, found_aside)
        ids |= {event.id for event in found}
        set_aside += len(found_aside)
    return Erased(len(ids), set_aside)


def _empty(store: Store, events: Sequence[Event], person: Person) -> None:
    """One change of the table for all of them."""
    own, rest = [one for one in events if person.owns(one)], [one for one in events if not person.owns(one)]
    changes, parameters = [], dict[str, Any]()

    def change(what: str, which: Iterable[Event], name: str) -> None:
        if ids := [one.id for one in which]:
            changes.append(f"UPDATE {what} WHERE id IN {{{name}:Array(String)}} AND {_WHEN}")
            parameters[name] = ids

    change(", ".join(f"{column} = {empty}" for column, empty in _OWN.items()), own, "own")
    places = {one.id: next(i for i, to in enumerate(one.recipients, 1) if person.is_(to))
              for one in rest if any(map(person.is_, one.recipients))}  # fmt: skip
    change(f"recipients = {_OTHERS}", [one for one in rest if one.id in places], "o_ids")
    parameters["o_places"] = list(places.values())
    for column, empty in _QUOTING.items():
        left = rest if column in _OWN else events
        change(f"{column} = {empty}", [one for one in left if person.is_quoted(getattr(one, column))], f"q_{column}")
    times = [one.time for one in events]
    parameters |= {"first": int(min(times) * 1000) - 1, "last": int(max(times) * 1000) + 1}
    store.change(f"ALTER TABLE events {', '.join(changes)}", parameters)
