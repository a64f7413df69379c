"""Outcomes per second, by pool and domain."""

from clickhouse_support import ClickHouse, columns

from common.event import Event, Type, pack, unpack
from events import rates
from events.rates import LAG, Rates
from events.store import Store

NOW = 1_790_000_000.0
WINDOW = 10.0
NONE = {"deferred": 0.0, "bounced": 0.0, "expired": 0.0}


def event(type: Type, age: float, pool: str = "default", domain: str = "", count: int = 1) -> list[Event]:
    recipients = ("a@a.example", "b@b.example") if type is Type.ACCEPTED else ()
    return [Event(time=NOW - age, type=type, pool=pool, domain=domain, recipients=recipients) for _ in range(count)]


def test_rates(store: Store) -> None:
    events = [
        *event(Type.DELIVERED, 2, domain="a.example", count=30),
        *event(Type.DELIVERED, LAG - 0.5, domain="a.example", count=9),  # not all of so late may be there
        *event(Type.DELIVERED, LAG + WINDOW + 0.5, domain="a.example", count=9),
        *event(Type.DEFERRED, 5, domain="b.example", count=5),
        *event(Type.BOUNCED, 5, domain="b.example", count=40),
        *event(Type.DELIVERED, 5, pool="bulk", domain="a.example", count=10),
        *event(Type.ACCEPTED, 5, count=10),
        *event(Type.REJECTED, 5, pool=""),
    ]
    rows = [row | {"stream_sequence": 1, "row_number": i} for i, row in enumerate(unpack(pack(events)))]
    store.insert("events", columns(rows), "token")
    found = rates.ask(store, NOW, WINDOW, 10)
    assert list(found.domains.items()) == [
        (("default", "b.example"), {**NONE, "delivered": 0.0, "deferred": 0.5, "bounced": 4.0}),
        (("default", "a.example"), {**NONE, "delivered": 3.0}),
        (("bulk", "a.example"), {**NONE, "delivered": 1.0}),
    ]
    assert found.pools == {
        "default": {"accepted": 2.0, "delivered": 3.0, "deferred": 0.5, "bounced": 4.0, "expired": 0.0},
        "bulk": {**NONE, "accepted": 0.0, "delivered": 1.0},
    }
    assert list(rates.ask(store, NOW, WINDOW, 1).domains) == [("default", "b.example")]


def test_no_table_yet(clickhouse: ClickHouse) -> None:
    assert rates.ask(clickhouse.store(), NOW, WINDOW, 10) == Rates()
