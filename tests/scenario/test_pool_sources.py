"""Two pools, each with its own source addresses and its own name in EHLO: what an MX host sees."""

from collections import Counter
from pathlib import Path

from scenario_support import SENDER, mx, send_with, story

from master.demo.sink_script import Rule
from master.demo.world import HOSTNAME, World

NEWS = {"source_addresses": ["127.0.0.102", "127.0.0.103"], "ehlo": "news.postjet.test"}
SETTINGS = {
    "pools.news": NEWS,
    "pools.default": {"source_addresses": ["127.0.0.104"]},
    "delivery": {"messages_per_connection": 1, "connections": 1},
}


async def test_a_report_leaves_as_the_mail_it_is_about(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1, settings=SETTINGS) as world, mx(world, "127.0.1.1", "sender.test") as sink:
        sink.rules.append(Rule(phase="rcpt", recipient="nobody@sender.test", reply="550 5.1.1 No such user"))
        [submission] = await send_with(world, "X-Postjet-Pool: news\r\n", "nobody@sender.test")
        [bounced] = [row for row in await story(world, submission, "bounced") if row["type"] == "bounced"]
        await sink.wait_for(1)
    [report] = sink.received
    assert (report.sender, report.recipients) == ("", (SENDER,))
    assert (report.peer in NEWS["source_addresses"], report.ehlo) == (True, "news.postjet.test")
    assert bounced["source_address"] in NEWS["source_addresses"]


async def test_pool_sources(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1, settings=SETTINGS) as world, mx(world, "127.0.1.1", "one.test") as sink:
        submissions = await send_with(world, "X-Postjet-Pool: news\r\n", "news@one.test", mails=10, sessions=2)
        [plain] = await send_with(world, "", "plain@one.test")
        # its content lies beside it, once for both
        [shared] = await send_with(world, "X-Postjet-Pool: news\r\n", "news@one.test", "news-2@one.test")
        await story(world, shared, "delivered", 2)
        await sink.wait_for(13, 30)
        events = [(await story(world, submission, "delivered"))[-1] for submission in submissions]
        [accepted, delivered] = await story(world, plain, "delivered")
    news = [mail for mail in sink.received if mail.recipients[0].startswith("news")]
    [other] = [mail for mail in sink.received if mail.recipients == ("plain@one.test",)]
    assert Counter(mail.peer for mail in news) == {"127.0.0.102": 6, "127.0.0.103": 6}
    assert {mail.ehlo for mail in news} == {"news.postjet.test"}
    assert (other.peer, other.ehlo) == ("127.0.0.104", HOSTNAME)
    assert Counter(event["source_address"] for event in events) == {"127.0.0.102": 5, "127.0.0.103": 5}
    assert {event["pool"] for event in events} == {"news"}
    assert (accepted["pool"], delivered["pool"], delivered["source_address"]) == ("default", "default", "127.0.0.104")
