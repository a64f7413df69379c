"""What workers say, put together; who does not answer is named."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.msg import Msg

from common import workers
from common.broker import Broker
from common.limits.limit import Limit, What
from common.limits.owner import Use
from common.queue import leases
from common.workers import SUBJECT, Question, ask

ONE, TWO = Limit("site:x", What.CONNECTIONS, 5, 0, "here:1"), Limit("domain:a.test", What.MESSAGES, 20, 1.0)
LINE = {"site": "x", "source": "", "waits_for": "its turn", "since": 2.0, "until": 0.0, "parked": 3,
        "domains": {"a.test": 3}}  # fmt: skip


@pytest.fixture
async def other(broker: Broker, nats: Any) -> AsyncIterator[Broker]:
    """A worker's connection."""
    connection = nats.broker()
    await connection.connect()
    yield connection
    await connection.close()


async def answering(connection: Broker, **changes: Any) -> None:
    """Be a worker; several times, be several."""
    answer = {"pool": "p", "worker": "p.w0", "lines": [LINE], "left_off": 1, "sites": [], "uses": [[1, 0, 0, 1.5]]}

    async def on_question(message: Msg) -> None:
        await connection.publish(message.reply, json.dumps(answer | changes).encode())

    await connection.client.subscribe(SUBJECT, cb=on_question)
    await connection.client.flush()


async def test_all_who_live_are_heard(
    broker: Broker, other: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "TIMEOUT", 60)
    await answering(other)
    await answering(other, pool="q", worker="q.w1", lines=[LINE | {"waits_for": "a token"}], uses=[])
    for worker in ("p.w0", "q.w1"):
        await leases.renew(broker, f"worker.{worker}", "1")
    async with asyncio.timeout(30):
        said = await ask(broker, Question("x", "a.test", (ONE, TWO)))
    assert (said.live, said.silent, said.left_off) == ({"p": {"p.w0"}, "q": {"q.w1"}}, set(), 2)
    assert said.uses == {TWO: Use(0, 0, 1.5)}
    assert sorted(line.worker for line in said.lines) == ["p.w0", "q.w1"]
    assert said.waits_for("p", "a.test") == "its turn"
    assert said.waits_for("q", "a.test") == "a token"
    assert said.waits_for("p", "b.test") == ""
    assert said.waits_for("r", "a.test") == "a worker: none of pool r runs"


async def test_who_does_not_answer_or_speaks_otherwise_is_named(
    broker: Broker, other: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "TIMEOUT", 0.1)
    await leases.renew(broker, "worker.p.w0", "1")
    assert (await ask(broker)).silent == {"p.w0"}  # nobody is there
    await answering(other, lines=[LINE | {"of_a_later_version": 1}])
    said = await ask(broker)
    assert (said.silent, said.lines, said.uses) == ({"p.w0"}, [], {})


async def test_where_nobody_lives_nobody_is_waited_for(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TIMEOUT", 60)
    async with asyncio.timeout(30):
        assert (await ask(broker)).live == {}


def test_a_question_travels() -> None:
    question = Question("x", "a.test", (ONE, TWO))
    assert Question.unpack(question.pack()) == question


@given(st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["site", "domain", "limits", "what", "key"]), inner),
))  # fmt: skip
def test_what_is_no_question_is_refused(values: Any) -> None:
    try:
        Question.unpack(json.dumps(values).encode())
    except (ValueError, TypeError, KeyError):
        return
    assert values.keys() >= {"site", "domain", "limits"}
