"""``postjet report``: the numbers of what happened, for people and for programs."""

import asyncio
import csv
import io
import json
import os
import urllib.request
from pathlib import Path

import pytest
from clickhouse_support import READER_PASSWORD
from scenario_support import mx, postjet, said_once, send, story

from master.demo.sink_script import Rule
from master.demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_report(world: World, tmp_path: Path) -> None:
    async def told(*arguments: str) -> str:
        done = await postjet("report", *arguments, config=world.config_file)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    async with mx(world, "127.0.1.1", "counted.test") as sink:
        sink.rules.append(Rule(phase="rcpt", recipient="nobody@counted.test", reply="550 5.1.1 No such user"))
        for recipient, last in (("a@counted.test", "delivered"), ("nobody@counted.test", "bounced")):
            [submission] = await send(world, recipient)
            await story(world, submission, last)
    where = ("outcomes", "--by", "domain", "--domain", "counted.test")
    [row] = [json.loads(line) for line in (await told(*where, "--json")).splitlines()]
    counted = {"domain": "counted.test", "transactions": 2, "delivered": 1, "deferred": 0, "bounced": 1}
    assert {name: row[name] for name in counted} == counted
    [from_csv] = csv.DictReader(io.StringIO(await told(*where, "--csv")))
    assert {name: from_csv[name] for name in counted} == {name: str(value) for name, value in counted.items()}
    assert await told(*where, "--parquet", str(tmp_path / "answer.parquet")) == ""
    assert (tmp_path / "answer.parquet").read_bytes()[:4] == b"PAR1"

    title, *head, line = (await told(*where)).splitlines()
    assert title.startswith("outcomes by domain  20")
    assert title.endswith(" UTC, domain counted.test, from domains_by_minute")
    assert head[-1].split()[:3] == ["domain", "transactions", "delivered"]
    assert line.split()[:3] == ["counted.test", "2", "1"]
    assert "█" * 10 + "░" * 10 in line
    assert "No such user" in await told("reasons", "--domain", "counted.test")
    for name in ("outcomes", "volume"):  # which else would be a day of zeros
        assert "nothing was recorded" in await told(name, "--domain", "nowhere.test")


async def test_clickhouse_is_away(tmp_path: Path) -> None:
    config = tmp_path / "postjet.toml"
    config.write_text('[nats]\nurl = "nats://127.0.0.1:1"\n[clickhouse]\nurl = "http://127.0.0.1:1/postjet"\n')
    line = said_once(await postjet("report", "outcomes", config=config), os.EX_TEMPFAIL)
    assert "reports need ClickHouse, which does not answer: " in line


async def test_grafana_reads_at_the_address_that_was_configured(world: World) -> None:
    address = world.config.clickhouse.bind
    assert not address.endswith(":0")
    assert f"@{address}/" in world.instance["clickhouse_url"]
    login = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": READER_PASSWORD}
    asked = urllib.request.Request(f"http://{address}/?database=postjet", b"SELECT count() > 9 FROM dashboards", login)
    with await asyncio.to_thread(urllib.request.urlopen, asked, timeout=20) as answer:
        assert answer.read() == b"1\n"
