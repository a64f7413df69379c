"""Two pools, each with its own source addresses and its own name in EHLO: what an MX host sees."""

from collections import Counter
from pathlib import Path

from scenario_support import mx, send_with, story

from master.demo.world import HOSTNAME, World

NEWS = {"source_addresses": ["127.0.0.102", "127.0.0.103"], "ehlo": "news.postjet.test"}
SETTINGS = {
    "pools.news": NEWS,
    "pools.default": {"source_addresses": ["127.0.0.104"]},
    "delivery": {"messages_per_connection": 1, "connections": 1},
}


async def test_pool_sources(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1, settings=SETTINGS) as world, mx(world, "127.0.1.1", "one.test") as sink:
        submissions = await send_with(world, "X-Postjet-Pool: news\r\n", "news@one.test", mails=10, sessions=2)
        [plain] = await send_with(world, "", "plain@one.test")
        await sink.wait_for(11, 30)
        events = [(await story(world, submission, "delivered"))[-1] for submission in submissions]
        [accepted, delivered] = await story(world, plain, "delivered")
    news = [mail for mail in sink.received if mail.recipients == ("news@one.test",)]
    [other] = [mail for mail in sink.received if mail.recipients == ("plain@one.test",)]
    assert Counter(mail.peer for mail in news) == {"127.0.0.102": 5, "127.0.0.103": 5}
    assert {mail.ehlo for mail in news} == {"news.postjet.test"}
    assert (other.peer, other.ehlo) == ("127.0.0.104", HOSTNAME)
    assert Counter(event["source_address"] for event in events) == {"127.0.0.102": 5, "127.0.0.103": 5}
    assert {event["pool"] for event in events} == {"news"}
    assert (accepted["pool"], delivered["pool"], delivered["source_address"]) == ("default", "default", "127.0.0.104")
