"""A mail for twenty recipients at three domains: one atomic step, content stored once, gone with the last of them."""

import asyncio
from collections import Counter

import pytest
from scenario_support import broker, mx, send, story
from support import until

from common.content import BodyRef
from common.entry import Entry
from common.queue.listing import entries
from common.subjects import BODY_STREAM, body, submission
from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

*_, SLOW = DOMAINS = ("one.shared.test", "two.shared.test", "slow.shared.test")
RECIPIENTS = [f"r{number}@{DOMAINS[number % 3]}" for number in range(20)]  # 7, 7 and 6


async def test_shared_content(world: World) -> None:
    held, slow = asyncio.Event(), asyncio.Event()
    async with mx(world, "127.0.1.4", *DOMAINS) as sink, broker(world) as connection:
        sink.rules.append(Rule(phase="dot", recipient=SLOW, wait=slow))
        sink.rules.append(Rule(phase="dot", wait=held))
        [identifier] = await send(world, *RECIPIENTS)
        everywhere = submission("default", identifier)

        found = [listed async for listed in entries(connection, "default", everywhere)]
        assert sorted(listed.entry.recipient for listed in found if listed.entry) == sorted(RECIPIENTS)
        assert len({listed.stored.headers["Nats-Batch-Id"] for listed in found}) == 1
        sequences = sorted(listed.stored.sequence for listed in found)
        assert sequences == list(range(sequences[0], sequences[0] + 20))
        for listed in found:
            assert isinstance(listed.entry, Entry)
            assert isinstance(listed.entry.content, BodyRef)
        stored = body("default", identifier)
        assert await connection.subjects(BODY_STREAM, f"{stored}.>") == {}
        assert await connection.subjects(BODY_STREAM, stored) == {stored: 1}

        held.set()
        await story(world, identifier, "delivered", 14)
        assert await connection.subjects(BODY_STREAM, stored) == {stored: 1}
        assert len(await connection.subjects("MQ_default", everywhere)) == 6

        slow.set()
        rows = await story(world, identifier, "delivered", 20)
        assert Counter(row["recipient"] for row in rows if row["type"] == "delivered") == Counter(RECIPIENTS)
        assert await connection.subjects("MQ_default", everywhere) == {}

        async def content_gone() -> bool:
            return await connection.subjects(BODY_STREAM, stored) == {}

        await until(content_gone)
    assert len({mail.content for mail in sink.received}) == 1
