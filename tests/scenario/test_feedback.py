"""What comes back finds its delivery: mail leaves with a return path of ours, and what is sent there is told of."""

import email
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from feedback_support import DOMAIN, SETTINGS, bounce, come_back, complaint, token_in, tokens
from scenario_support import SENDER, broker, mx, processes, query, send_as, send_with, story, types
from support import make_entry, until

from common.ids import id_time, report_id
from master.demo.sink import ASKING, EXTENSIONS
from master.demo.sink_mail import Mail
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
WRITER = "writer@writer.test"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A Postjet with feedback, and a mailbox for those who send."""
    async with World(tmp_path_factory.mktemp("world"), sinks=1, settings=SETTINGS) as world:
        world.add_domain("writer.test", world.sinks[0])
        yield world


async def passed_on(world: World, delivery: str) -> list[Mail]:
    """What came to the writer about a delivery."""
    return [mail for mail in world.sinks[0].received if f"X-Postjet-Returned: {delivery}".encode() in mail.content]


async def test_a_bounce_finds_its_delivery_and_its_sender(world: World) -> None:
    options = "X-Postjet-Tag: spring\r\nX-Postjet-Meta-customer: 7\r\n"
    async with mx(world, "127.0.2.1", "remote.test") as remote:
        [submission] = await send_with(world, options, "who@remote.test")
        await remote.wait_for(1)
        [mail] = remote.received
    delivery, token = f"{submission}-1", token_in(mail)
    assert mail.sender == f"{token}@{DOMAIN}"
    assert len(token) <= 64
    assert submission == tokens(world).read(token).submission  # type: ignore[union-attr]
    said = await come_back(world.smtp_port, bounce(mail), f"{token.upper()}@{DOMAIN.title()}")
    rows = await story(world, submission, "dsn")
    assert types(rows) == ["accepted", "delivered", "dsn"]
    row = rows[-1]
    expected: dict[str, Any] = {
        "submission": submission, "delivery": delivery, "sender": SENDER, "recipient": "who@remote.test",
        "domain": "remote.test", "campaign": "spring", "tags": ["spring"], "meta": {"customer": "7"},
        "phase": "return-path", "reason": "failed", "code": 550, "enhanced_code": "5.1.1", "bounce_type": "hard",
        "mx_host": "mx.remote.test", "mx_address": "127.0.0.9", "pool": "default",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert rows[1]["sender"] == rows[0]["sender"] == SENDER
    assert (await story(world, said.submission, "accepted"))[0]["pool"] == "feedback"
