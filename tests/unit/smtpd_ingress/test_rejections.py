"""Rejections as events: few rows, true counts."""

from typing import Any

import pytest
from support import Nats, until

from common.broker import Broker
from common.event import unpack
from common.queue import listing
from smtpd_ingress import rejections as rejections_module
from smtpd_ingress.rejection import Rejection
from smtpd_ingress.rejections import Rejections


def rejection(**changes: Any) -> Rejection:
    values: dict[str, Any] = {
        "client_address": "192.0.2.1", "interface": "relay", "phase": "rcpt", "code": 550, "enhanced": "5.7.1",
        "text": "Relaying denied", "sender": "a@b.example", "recipient": "c@d.example",
    }  # fmt: skip
    return Rejection(**(values | changes))


async def recorded(broker: Broker) -> list[dict[str, Any]]:
    return [row async for stored in listing.walk(broker, "EVENTS", "e.>") for row in unpack(stored.body)]


async def test_gathered_by_client_and_reason_with_counts(broker: Broker) -> None:
    gathering = Rejections(broker)
    for i in range(5):
        gathering.add(rejection(recipient=f"r{i}@d.example"))
    gathering.add(rejection(client_address="192.0.2.2"))
    gathering.add(rejection(phase="mail", code=501, enhanced="5.1.7", text="Bad address"))
    await gathering.flush()
    rows = await recorded(broker)
    assert [(row["client_address"], row["code"], row.get("count", 1)) for row in rows] == [
        ("192.0.2.1", 550, 5), ("192.0.2.2", 550, 1), ("192.0.2.1", 501, 1)
    ]  # fmt: skip
    first = rows[0]
    assert {name: first[name] for name in ("type", "recipient", "sender", "interface", "phase", "enhanced_code")} == {
        "type": "rejected", "recipient": "r0@d.example", "sender": "a@b.example", "interface": "relay",
        "phase": "rcpt", "enhanced_code": "5.7.1",
    }  # fmt: skip
    assert await broker.subjects("EVENTS", ">") == {"e.default": 1}


async def test_what_was_sent_is_not_sent_again(broker: Broker) -> None:
    gathering = Rejections(broker)
    await gathering.flush()
    gathering.add(rejection())
    await gathering.flush()
    await gathering.flush()
    assert len(await recorded(broker)) == 1


async def test_capped_and_what_is_dropped_is_counted(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections_module, "CAP", 3)
    gathering = Rejections(broker)
    for i in range(10):
        gathering.add(rejection(client_address=f"192.0.2.{i}"))
    gathering.add(rejection(client_address="192.0.2.0"))  # listed already
    await gathering.flush()
    rows = await recorded(broker)
    assert [row.get("count", 1) for row in rows] == [2, 1, 1, 7]
    assert rows[-1]["reason"] == "more than could be listed"
    gathering.add(rejection())
    await gathering.flush()
    assert len(await recorded(broker)) == 5


async def test_a_broker_that_is_away_costs_the_rejections_only(nats: Nats, broker: Broker) -> None:
    gathering = Rejections(broker)
    nats.kill()
    await until(lambda: not broker.client.is_connected)
    gathering.add(rejection())
    await gathering.flush()
    nats.start()
    await until(lambda: broker.client.is_connected)
    gathering.add(rejection(code=554))
    await until(lambda: _flushed(gathering, broker))
    assert [row["code"] for row in await recorded(broker)] == [554]


async def _flushed(gathering: Rejections, broker: Broker) -> bool:
    await gathering.flush()
    return bool(await broker.subjects("EVENTS", ">"))
