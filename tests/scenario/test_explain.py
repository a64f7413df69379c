"""What holds mail back is named by explain, queue, trace, top and holds; what is lifted flows within seconds."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from scenario_support import broker, mx, postjet, query, queue, said_once, send, story
from support import make_entry, until

from common import subjects
from common.queue.schedule import scheduled
from master.demo.sink_script import Rule
from master.demo.world import World

SETTINGS = {
    "delivery": {"site_down": "1h"},
    "policies": [{"domain": "rated.test", "rate": "1/h", "retry": ["7m"]}],
    "providers": [{"name": "angry", "mx": "mx.angry.test"}],
    "replies": [{"name": "complaints", "provider": "angry", "code": "421", "action": "suspend", "for": "1h"}],
}
REPLY = "421 4.7.0 Too many complaints"


async def run(world: World, *arguments: str) -> str:
    done = await postjet(*arguments, config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def explained(world: World, domain: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await run(world, "explain", domain, "--json"))
    return found


def line_of(config: Path, text: str) -> str:
    """Where a table of the configuration begins that has this text."""
    lines = config.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if text in line)
    return f"{config}:{next(n for n in range(at, 0, -1) if lines[n].startswith('[[')) + 1}"


async def test_explain(tmp_path: Path) -> None:
    async with (
        World(tmp_path, sinks=1, settings=SETTINGS) as world,
        mx(world, "127.0.1.1", "rated.test"),
        mx(world, "127.0.1.2", "angry.test") as angry,
    ):
        world.dns.zone.add("down.test", "MX", "10 mx.down.test.")
        world.dns.zone.add("mx.down.test", "A", "127.0.9.9")  # where nobody listens
        world.dns.zone.add("null.test", "MX", "0 .")
        angry.rules.append(Rule(phase="mail", reply=REPLY))
        sent = {domain: (await send(world, f"a@{domain}"))[0] for domain in ("rated.test", "down.test", "angry.test")}
        waits: dict[str, str | None] = {}

        async def all_wait() -> bool:
            waits.update({e["recipients"][0]["address"]: e["waits_for"] for e in (await queue(world)).values()})
            return len(waits) == 3 and all(waits.values())

        await until(all_wait, 30)
        policy, rule = (line_of(world.config_file, text) for text in ('"rated.test"', '"complaints"'))
        hold = f"provider:angry suspended by reply rule complaints: mx.angry.test[127.0.1.2]: {REPLY}"
        assert waits["a@rated.test"] == f"a token of 1/h for domain:rated.test ({policy})"
        assert str(waits["a@down.test"]).startswith("its site to be up again: mx.down.test[127.0.9.9]: ")
        assert waits["a@angry.test"] == f"the end of a suspension: {hold}"

        await asyncio.gather(
            _explain(world, policy, rule), _others(world, sent["rated.test"], policy), _holds(world, rule, hold)
        )

        angry.rules.clear()
        put_off = make_entry("b@angry.test", put_off="provider:angry")
        async with broker(world) as connection:
            at = time.time() + 3600
            await connection.put(scheduled(subjects.entry("q", put_off), put_off.pack(), put_off.id, at))
        lifted = await run(world, "holds", "lift", "provider:angry")
        assert lifted == "provider:angry: nothing is held any more; 1 delivery no longer put off\n"
        await angry.wait_for(2, 10)
        await story(world, sent["angry.test"], "delivered")
        again, listed = await asyncio.gather(
            postjet("holds", "lift", "provider:angry", config=world.config_file), run(world, "holds")
        )
        assert "'postjet holds' lists what is" in said_once(again, os.EX_NOINPUT)
        assert listed == "No reply rule holds anything back\n"
        await until(lambda: _told(world))


async def _told(world: World) -> bool:
    rows = await query(world, "SELECT text FROM events WHERE type = 'admin' AND reason = 'lift'")
    return ["provider:angry: holds lifted by" in row["text"] for row in rows] == [True]


async def _explain(world: World, policy: str, rule: str) -> None:
    rated, down, angry, null, page = await asyncio.gather(
        *(explained(world, domain) for domain in ("rated.test", "down.test", "someone@ANGRY.test", "null.test")),
        run(world, "explain", "rated.test"),
    )
    assert rated["hosts"] == [{"preference": 10, "name": "mx.rated.test", "addresses": ["127.0.1.1"]}]
    assert (rated["site"], rated["provider"], rated["queued"]["ready"]) == ("mx.rated.test", None, 1)
    limits = {limit["key"]: limit for limit in rated["limits"]}
    rate = limits["domain:rated.test"]
    assert (rate["what"], rate["amount"], rate["per"], rate["origin"]) == ("messages", 1, 3600, policy)
    assert rate["now"]["wait"] > 60
    assert limits["site:mx.rated.test"]["now"].keys() == {"wait", "used", "waiting"}
    assert rated["values"]["retry"] == {"value": [420.0], "origin": policy}
    assert [(reason["kind"], reason["until"] is not None) for reason in rated["reasons"]] == [("limit", True)]
    assert [(line["parked"], line["waits_for"]) for line in rated["waiting"]] == [
        (1, f"a token of 1/h for domain:rated.test ({policy})")
    ]
    for text in ("10 mx.rated.test  127.0.1.1", policy, "domain:rated.test", "retry", "7m", "1 delivery waits in"):
        assert text in page
    [site] = down["reasons"]
    assert (site["kind"], "mx.down.test[127.0.9.9]" in site["text"]) == ("site", True)
    [held] = angry["reasons"]
    assert (angry["provider"], held["kind"]) == ("angry", "hold")
    assert f"provider:angry suspended by reply rule complaints ({rule})" in held["text"]
    assert held["since"] < held["until"]
    [route] = null["reasons"]
    assert null["failure"]["enhanced"] == "5.1.10"
    assert "returned to its sender at once" in route["text"]


async def _others(world: World, rated: str, policy: str) -> None:
    listed, told, top = await asyncio.gather(
        run(world, "queue"), run(world, "trace", rated), run(world, "top", "--once", "--json")
    )
    waits = f"waits for a token of 1/h for domain:rated.test ({policy})"
    assert f"({waits})" in listed
    assert told.splitlines()[-1] == f"{rated}-1 to a@rated.test {waits}"
    assert {line["site"]: line["parked"] for line in json.loads(top)["held"]} == {
        "mx.rated.test": 1, "mx.down.test": 1, "mx.angry.test": 1,
    }  # fmt: skip


async def _holds(world: World, rule: str, hold: str) -> None:
    as_json, table = await asyncio.gather(run(world, "holds", "--json"), run(world, "holds"))
    [one] = map(json.loads, as_json.splitlines())
    assert (one["key"], one["action"], one["value"]) == ("provider:angry", "suspend", None)
    assert (one["rule"], one["origin"], one["since"] < one["until"]) == ("complaints", rule, True)
    assert one["reply"] == hold.partition("complaints: ")[2]
    head, reply = table.splitlines()
    assert head.startswith("provider:angry  suspend  since ")
    assert reply == f"    reply rule complaints ({rule}): {one['reply']}"
