"""What no rule knows is gathered by its words."""

import time

from clickhouse_support import ClickHouse, columns

from common.classify.reading import classifier
from common.classify.rule import ClassRule
from common.event import Event, Type, pack, unpack
from common.policies.reading import Layer, Written
from events.store import Store
from events.unclassified import Unclassified, unclassified

NOW = time.time()


def event(text: str, age: float = 60, bounce_class: str = "unclassified") -> Event:
    return Event(
        time=NOW - age, type=Type.BOUNCED, code=550, phase="rcpt", provider="p", text=text, bounce_class=bounce_class
    )


def put(store: Store, events: list[Event]) -> None:
    rows = [row | {"stream_sequence": 1, "row_number": i} for i, row in enumerate(unpack(pack(events)))]
    store.insert("events", columns(rows), "token")


def test_gathered_by_words(store: Store) -> None:
    put(store, [
        *(event(f"<user{i}@example.org> Gloop") for i in range(3)), event("Wibble"), event("Wobble", age=7200),
        event("User unknown"),  # of before there was a rule for it
        event("Wibble", bounce_class="policy"),
    ])  # fmt: skip
    found = unclassified(store, 3600, classifier())
    assert found == [
        Unclassified(3, 550, "", "rcpt", "p", "<@> gloop", "<user0@example.org> Gloop"),
        Unclassified(1, 550, "", "rcpt", "p", "wibble", "Wibble"),
    ]
    rule = ClassRule.model_validate({"name": "mine", "class": "content", "text": "gloop"})
    assert len(unclassified(store, 3600, classifier((Written(rule, Layer.OPERATOR, "x:1"),)))) == 1


def test_a_database_without_tables(clickhouse: ClickHouse) -> None:
    assert unclassified(clickhouse.store(), 3600, classifier()) == []
