"""What the tests of full and broken things send and check."""

import base64
import os
import re
from collections import Counter
from collections.abc import Callable

from scenario_support import SENDER, query
from support import until

from common.broker import Broker
from common.subjects import EVENTS_STREAM, queue_stream
from master.demo.generator import Mail, Outcome, make_message
from master.demo.world import World

_MESSAGE_ID = re.compile(rb"^Message-ID: <?([^>\r]+)", re.MULTILINE)


def make_mails(count: int, domain: str, size: int = 1000) -> list[Mail]:
    """Mails to one recipient each, whose content does not become smaller by compressing it."""
    mails: list[Mail] = []
    for number in range(count):
        text = base64.encodebytes(os.urandom(size * 3 // 4)).replace(b"\n", b"\r\n")
        mails.append((SENDER, [f"r{number}@{domain}"], make_message(0, sender=SENDER) + text))
    return mails


def message_id(mail: Mail) -> str:
    """The Message-ID without its brackets."""
    found = _MESSAGE_ID.search(mail[2])
    assert found
    return found[1].decode()


def taken(mails: list[Mail], outcomes: list[Outcome]) -> set[str]:
    """The Message-IDs of what was answered 250."""
    return {message_id(mails[outcome.number]) for outcome in outcomes if outcome.accepted}


def arrived(world: World) -> Counter[str]:
    """How often each Message-ID came to the sinks."""
    return Counter(mail.message_id.strip("<>") for sink in world.sinks for mail in sink.received)


async def all_arrive(world: World, expected: set[str], timeout: float = 30.0) -> None:
    """Wait for them; nothing else came, for whatever was refused is not delivered."""
    await until(lambda: expected <= set(arrived(world)), timeout)
    assert set(arrived(world)) == expected


async def all_told_once(world: World, connection: Broker, count: int) -> None:
    """``count`` mails are recorded as accepted and delivered, no row twice; queue and EVENTS run empty."""
    for stream in (queue_stream("default"), EVENTS_STREAM):
        await until(lambda stream=stream: _is_empty(connection, stream), 40)
    [rows] = await query(world, "SELECT count() AS rows, uniqExact(id) AS ids FROM events")
    assert rows["rows"] == rows["ids"]
    for type_ in ("accepted", "delivered"):
        sql = "SELECT uniqExact(submission) AS n FROM events WHERE type = {type:String}"
        assert await query(world, sql, type=type_) == [{"n": count}]


async def _is_empty(connection: Broker, stream: str) -> bool:
    return bool((await connection.api(f"STREAM.INFO.{stream}"))["state"]["messages"] == 0)


def said(world: World, text: str) -> int:
    """In how many lines of its log Postjet said this."""
    return sum(text in line for line in world.log_file.read_text().splitlines())


def saying(world: World, text: str, times: int = 1) -> Callable[[], bool]:
    """Whether it was said so often: for ``until``."""
    return lambda: said(world, text) >= times
