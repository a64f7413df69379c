"""What cannot be read or stored is set aside once, with its reason and its bytes, and recording goes on."""

import asyncio
import time
from typing import Any

import pytest
from recorder_support import KilledError, Wrapped, happen, left, recorded, recorder

from common.broker import Broker, Message
from common.event import Event, Type, pack_columns, unpack
from events.store import Columns, Store


async def put(broker: Broker, body: bytes) -> int:
    return await broker.put(Message("e.default", body))


def with_value(**values: Any) -> tuple[list[str], bytes]:
    """A message of three rows, the second of which has these values; the ids of the others."""
    rows = [Event(time=time.time(), type=Type.DELIVERED, code=i, text="x") for i in range(3)]
    columns = {name: [getattr(row, name) for row in rows] for name in ("time", "type", "id", "code", "text", "count")}
    for name, value in values.items():
        columns[name][1] = value
    return [rows[0].id, rows[2].id], pack_columns(3, columns)


def aside(store: Store) -> list[dict[str, Any]]:
    return store.query("SELECT * FROM events_set_aside ORDER BY stream_sequence, row_number", {})


def rolled_up(store: Store) -> int:
    return int(store.query("SELECT sum(r.rows) AS n FROM traffic_by_hour AS r", {})[0]["n"])


async def test_a_message_that_cannot_be_read(broker: Broker, store: Store) -> None:
    ids = await happen(broker, 1)
    sequence = await put(broker, b"of a later version")
    ids += await happen(broker, 1)
    await recorder(broker, store).run()
    assert recorded(store) == ids
    [row] = aside(store)
    assert (row["stream_sequence"], row["row_number"], row["message"]) == (sequence, 0, "of a later version")
    assert row["reason"].startswith("not an events message")
    assert abs(row["time"].timestamp() - time.time()) < 60
    assert await left(broker) == 0


@pytest.mark.parametrize("missing", ["id", "time", "type"])
async def test_rows_without_what_every_row_has(broker: Broker, store: Store, missing: str) -> None:
    columns = {"id": ["i"], "time": [time.time()], "type": ["held"]}
    del columns[missing]
    await put(broker, pack_columns(1, columns))
    ids = await happen(broker, 1)
    await recorder(broker, store).run()
    assert recorded(store) == ids
    assert [row["reason"] for row in aside(store)] == [f"events message whose rows have no {missing}"]


@pytest.mark.parametrize("wrong", [{"code": 70_000}, {"code": "x"}, {"text": 3}, {"time": None}])
async def test_a_value_that_no_column_can_hold(broker: Broker, store: Store, wrong: dict[str, Any]) -> None:
    before, (others, body) = await happen(broker, 9), with_value(**wrong)
    sequence = await put(broker, body)
    after = await happen(broker, 5)
    await recorder(broker, store).run()
    assert recorded(store) == [*before, *others, *after]
    assert rolled_up(store) == 16
    [row] = aside(store)
    assert (row["stream_sequence"], row["row_number"]) == (sequence, 1)
    assert row["reason"].startswith("a value that its column cannot hold")
    message = store.query("SELECT hex(message) AS m FROM events_set_aside", {})[0]["m"]
    assert await left(broker) == 0
    [back] = unpack(bytes.fromhex(message))
    assert {name: back[name] for name in wrong} == wrong


async def test_rows_that_only_clickhouse_can_refuse(broker: Broker, store: Store) -> None:
    store.client.command("ALTER TABLE events ADD CONSTRAINT small CHECK code < 10")
    others, body = with_value(code=11)
    await put(broker, body)
    ids = [*others, *await happen(broker, 30)]
    await put(broker, body)
    await recorder(broker, store).run()
    assert recorded(store) == [*ids, *others]
    assert rolled_up(store) == 34
    assert ["small" in row["reason"] for row in aside(store)] == [True, True]


async def test_all_rows_of_a_backlog(broker: Broker, store: Store) -> None:
    for _ in range(5):
        await put(broker, pack_columns(2, {"id": ["x", "y"], "time": [time.time(), None], "type": ["held", 3]}))
    ids = await happen(broker, 3)
    await recorder(broker, store).run()
    assert recorded(store) == ["x"] * 5 + ids
    assert len(aside(store)) == 5


class Dying(Wrapped):
    """A store whose recorder dies after so many inserts, or in the one that follows."""

    def __init__(self, store: Store, inserts: int) -> None:
        super().__init__(store)
        self.left = inserts

    def insert(self, table: str, columns: Columns, token: str) -> None:
        if not self.left:
            raise KilledError
        self.left -= 1
        super().insert(table, columns, token)


async def test_once_wherever_a_recorder_is_killed(broker: Broker, store: Store) -> None:
    ids = await happen(broker, 4)
    others, body = with_value(code=70_000)
    await put(broker, body)
    await put(broker, b"poison")
    ids += [*others, *await happen(broker, 5)]
    for inserts in range(20):
        dying = Dying(store, inserts)
        try:
            await recorder(broker, dying).run()
            break
        except KilledError:
            await asyncio.sleep(0)
    assert inserts > 5
    assert sorted(recorded(store)) == sorted(ids)
    assert rolled_up(store) == len(ids)
    assert [row["stream_sequence"] for row in aside(store)] == [3, 4]


async def test_once_although_a_constraint_is_gone_after_a_crash(broker: Broker, store: Store) -> None:
    store.client.command("ALTER TABLE events ADD CONSTRAINT small CHECK code < 10")
    [first, last], body = with_value(code=11)
    await put(broker, body)
    with pytest.raises(KilledError):
        await recorder(broker, Dying(store, 3)).run()
    assert recorded(store) == [first]
    store.client.command("ALTER TABLE events DROP CONSTRAINT small")
    await recorder(broker, store).run()
    [_, second, _] = recorded(store)
    assert recorded(store) == [first, second, last]
    assert aside(store) == []
