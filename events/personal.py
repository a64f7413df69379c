"""Everything that is recorded about one address: found, and erased.

An erased row stays, for what was counted has to go on adding up; what it says of a person is emptied. Statements that
change rows name them by their ids and never the address: ClickHouse keeps the text of such statements.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from common import event
from common.event import Event
from common.recipients import bare, forms
from events import aside, story
from events.store import Store

#: Rows that are looked at together, and changed in one step.
_AT_ONCE = 2000
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
#: Some recipients of several, by their places.
_OTHERS = "arrayFilter((one, i) -> (id, i) NOT IN %(places)s, recipients, arrayEnumerate(recipients))"
#: Parts of other days are not looked at.
_WHEN = "time BETWEEN fromUnixTimestamp64Milli(%(first)s) AND fromUnixTimestamp64Milli(%(last)s)"
_ABOUT = f"({story.ADDRESS} OR {_QUOTED})"
_NEXT = """time >= fromUnixTimestamp64Milli({at:Int64})
    AND (time, id) > (fromUnixTimestamp64Milli({at:Int64}), {after:String}) ORDER BY time, id LIMIT {limit:UInt32}"""


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
        # As Python and RE2 both read it. VERP has = for @, and the address inside another's local part. An apostrophe
        # quotes an address, but not within a name: O'Brien is not Brien
        begins = r"(?:^|[^0-9A-Za-z._+'-]|(?:^|[^0-9A-Za-z])')"
        ways = [rf"{begins}{local}(?:@|%40){domain}", rf"(?:^|[^0-9A-Za-z._]){local}={domain}"]
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


def find(store: Store, person: Person) -> Iterator[list[Event]]:
    """The events about an address, oldest first, some at a time. Raises NotReachableError, RefusedError."""
    parameters = {"addresses": person.forms, "pattern": person.pattern, "at": 0, "after": "", "limit": _AT_ONCE}
    while found := story.matching(store, f"{_ABOUT} AND {_NEXT}", parameters):
        yield found
        parameters |= {"at": round(found[-1].time * 1000), "after": found[-1].id}


def count(store: Store, person: Person) -> int:
    """How many they are. Raises NotReachableError, RefusedError."""
    return story.count(store, _ABOUT, {"addresses": person.forms, "pattern": person.pattern})


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
    erased = Erased()
    for _ in range(_LOOKS):
        emptied = 0
        for found in find(store, person):
            _empty(store, found, person)
            emptied += len(found)
        found_aside = find_aside(store, person)
        aside.remove(store, found_aside)
        if not emptied and not found_aside:
            break
        erased = Erased(erased.events + emptied, erased.set_aside + len(found_aside))
    return erased


def _empty(store: Store, events: Sequence[Event], person: Person) -> None:
    """One change of the table for all of them."""
    own, rest = [one for one in events if person.owns(one)], [one for one in events if not person.owns(one)]
    changes, parameters = [], dict[str, Any]()

    def change(what: str, which: Sequence[Event], name: str) -> None:
        if which:
            changes.append(f"UPDATE {what} WHERE id IN %({name})s AND {_WHEN}")
            parameters[name] = tuple(one.id for one in which)

    change(", ".join(f"{column} = {empty}" for column, empty in _OWN.items()), own, "own")
    places = tuple((one.id, i) for one in rest for i, to in enumerate(one.recipients, 1) if person.is_(to))
    change(f"recipients = {_OTHERS}", [one for one in rest if any(map(person.is_, one.recipients))], "others")
    for column, empty in _QUOTING.items():
        left = rest if column in _OWN else events
        change(f"{column} = {empty}", [one for one in left if person.is_quoted(getattr(one, column))], column)
    times = [one.time for one in events]
    parameters |= {"places": places, "first": int(min(times) * 1000) - 1, "last": int(max(times) * 1000) + 1}
    store.change(f"ALTER TABLE events {', '.join(changes)}", parameters)
