"""Everything about one recipient is found, and erased without a trace of it in what the database keeps."""

from dataclasses import replace

import pytest
from clickhouse_support import check_rollups, columns, rolled_up

from common.event import Event, Status, Type, pack, unpack
from common.ids import new_id
from events import personal
from events.conceal import Concealer
from events.personal import Erased, Person
from events.store import Store

NOW = 1_790_000_000.5
ANN, JOANN, BOB = "Ann@one.example", "joann@one.example", "bob@two.example"
KEY = bytes(32)


def event(type: Type, **values: object) -> Event:
    return Event(time=NOW, type=type, submission=new_id(NOW), sender="news@s.example", pool="default",
                 **values)  # type: ignore[arg-type]  # fmt: skip


OWN = [
    event(Type.ACCEPTED, recipients=(ANN,), meta={"user": "17"}, message_id="<1@s.example>",
          client_address="192.0.2.1"),
    event(Type.BOUNCED, recipient=ANN, domain="one.example", status=Status.UNDELIVERABLE, text="User Ann unknown",
          meta={"user": "17"}, message_id="<1@s.example>", bounce_class="invalid-recipient"),
    event(Type.DELIVERED, recipient=ANN, time_total=1.5, text="Ok"),
]  # fmt: skip
#: Of others, who quote it: column to what is left.
QUOTING = [
    (event(Type.ACCEPTED, recipients=(BOB, ANN.lower(), JOANN), meta={"k": "v"}), "recipients", (BOB, JOANN)),
    (event(Type.DSN, recipient=BOB, text="forwarded to <ann@one.example>."), "text", ""),
    (event(Type.DELIVERED, recipient=BOB, meta={"to": "mailto:ANN@one.example"}), "meta", {}),
    (event(Type.DELIVERED, recipient=BOB, tags=("for-x", "ann@one.example")), "tags", ()),
    (Event(time=NOW, type=Type.DELIVERED, sender="b+ann=one.example@s.example", recipient=BOB), "sender", ""),
    (Event(time=NOW, type=Type.BOUNCED, sender=ANN, recipient=BOB, message_id="<2@one.example>"), "sender", ""),
    (Event(time=NOW, type=Type.ADMIN, text="suppressed ann@one.example, by root@mta"), "text", ""),
]
OTHERS = [
    event(Type.BOUNCED, recipient=JOANN, text="<joann@one.example>: unknown, see ann@one.example.org"),
    event(Type.BOUNCED, recipient="x+ann@one.example", text="no x+ann@one.example, Ann"),
    event(Type.ACCEPTED, recipients=(BOB, JOANN), meta={"k": "ann"}),
]


def record(store: Store, *events: Event, conceal: Concealer | None = None, first: int = 1) -> None:
    rows = unpack(pack(events))
    values = columns([row | {"stream_sequence": first, "row_number": i} for i, row in enumerate(rows)])
    if conceal:
        conceal.columns(values)
    store.insert("events", values, f"t{first}")


def find(store: Store, person: Person) -> list[Event]:
    return [event for events in personal.find(store, person) for event in events]


@pytest.fixture
def told(store: Store) -> Store:
    record(store, *OWN, *(event for event, *_ in QUOTING), *OTHERS)
    return store


def test_found(told: Store) -> None:
    found = {event.id for event in find(told, Person("<ANN@one.example>", None))}
    assert found == {event.id for event in OWN} | {event.id for event, *_ in QUOTING}


def test_others_of_the_same_mail_are_not_shown() -> None:
    shown = personal.without_others(QUOTING[0][0], Person(ANN, None))
    assert shown.recipients == (ANN.lower(),)
    assert QUOTING[0][0].recipients == (BOB, ANN.lower(), JOANN)


def test_erased(told: Store) -> None:
    person = Person(ANN, None)
    before = rolled_up(told)
    assert personal.erase(told, person) == Erased(events=len(OWN) + len(QUOTING))
    assert find(told, person) == []
    everything = personal.story.matching(told, "1", {})
    left = {event.id: event for event in everything}
    for own in OWN:
        now = left[own.id]
        assert (now.recipient, now.recipients, now.text, now.meta, now.message_id) == ("", (), "", {}, "")
        assert (now.time, now.type, now.submission, now.domain, now.bounce_class, now.sender) == (
            own.time, own.type, own.submission, own.domain, own.bounce_class, own.sender
        )  # fmt: skip
    for quoting, column, value in QUOTING:
        assert left[quoting.id] == replace(quoting, **{column: value})
    assert [left[event.id] for event in OTHERS] == OTHERS
    assert rolled_up(told) == before
    assert len(everything) == len(OWN) + len(QUOTING) + len(OTHERS)


def test_the_database_keeps_no_address_in_what_it_was_told_to_do(told: Store) -> None:
    personal.erase(told, Person(ANN, None))
    query = "SELECT command FROM system.mutations WHERE database = currentDatabase() AND command LIKE '%UPDATE%'"
    commands = [row["command"] for row in told.query(query, {})]
    assert commands
    assert not [command for command in commands if "one.example" in command.lower()]


def test_twice_in_one_mail_and_more_rows_than_one_change_has(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "_AT_ONCE", 2)
    many = [event(Type.ACCEPTED, recipients=(BOB, ANN, ANN.lower(), JOANN)) for _ in range(5)]
    record(store, *many)
    assert [len(page) for page in personal.find(store, Person(ANN, None))] == [2, 2, 1]  # no more in memory at a time
    assert personal.count(store, Person(ANN, None)) == 5
    assert personal.erase(store, Person(ANN, None)) == Erased(events=5)
    assert [event.recipients for event in personal.story.matching(store, "1", {})] == [(BOB, JOANN)] * 5


def test_nothing_to_erase_changes_nothing(told: Store) -> None:
    assert personal.erase(told, Person("nobody@one.example", None)) == Erased()
    assert told.query("SELECT count() AS n FROM system.mutations WHERE command LIKE '%nobody%'", {}) == [{"n": 0}]


def test_hashed(store: Store) -> None:
    verp = Event(time=NOW, type=Type.DELIVERED, sender="b+ann=one.example@s.example", recipient=ANN)
    about = [*OWN, verp, *(event for event, column, _ in QUOTING if column not in ("sender", "recipients"))]
    record(store, *about, *OTHERS, conceal=Concealer(KEY))
    person = Person(ANN, KEY)
    assert {event.id for event in find(store, person)} == {event.id for event in about}
    assert find(store, Person(ANN, b"1" * 32)) == find(store, Person(ANN, None))
    left = [event for event in personal.story.matching(store, "1", {}) if "ann@" in str(event).lower()]
    assert [event.type for event in left] == [Type.ADMIN]  # what a person gave as an order stays
    personal.erase(store, person)
    assert find(store, person) == []
    assert find(store, Person(JOANN, KEY))
    assert len(rolled_up(store)) > 0


def test_set_aside(store: Store) -> None:
    def aside(*messages: bytes) -> None:
        store.insert("events_set_aside", {
            "time": [NOW] * len(messages), "stream": ["s"] * len(messages),
            "stream_sequence": list(range(len(messages))), "row_number": [0] * len(messages),
            "reason": ["x"] * len(messages), "message": list(messages),
        }, "t")  # fmt: skip

    aside(pack([OWN[0]]), pack([OTHERS[0]]), b"later \xff\xd9 ann@one.example", b"later", pack([QUOTING[4][0]]))
    person = Person(ANN, None)
    assert [row["stream_sequence"] for row in personal.find_aside(store, person)] == [0, 2, 4]
    assert personal.erase(store, person) == Erased(set_aside=3)
    assert [row["stream_sequence"] for row in personal.aside.set_aside(store)] == [1, 3]


def test_rollups_are_as_they_were(told: Store) -> None:
    check_rollups(told)


@pytest.mark.parametrize(
    ("text", "is_quoted"),
    [
        ("user 'brien@one.example' unknown", True), ("'brien@one.example'", True), ("no brien@one.example.", True),
        ("b=brien=one.example@s.example", True), ("o'brien@one.example", False), ("to o'Brien@one.example", False),
    ],
)  # fmt: skip
def test_a_name_with_an_apostrophe_is_another_persons(store: Store, text: str, is_quoted: bool) -> None:
    brien = Person("brien@one.example", None)
    assert brien.is_quoted(text) == is_quoted
    [row] = store.query("SELECT match({t:String}, {p:String}) AS found", {"t": text, "p": brien.pattern})
    assert bool(row["found"]) == is_quoted
