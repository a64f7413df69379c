"""A campaign is paused while it flows: nothing more goes out, over a restart too; resumed, all of it arrives once."""

import json
from collections import Counter
from pathlib import Path

from scenario_support import mx, postjet, query, queue, send, send_with
from support import until

from master.demo.sink_script import Rule
from master.demo.world import World

MAILS = 120
OURS = "has(tags, 'spring')"
SPRING = "X-Postjet-Tag: spring\r\n"


async def test_pause(tmp_path: Path) -> None:
    settings = {"pools.default": {"workers": 2}, "delivery": {"connections": 2, "expire": "4s"}}
    async with World(tmp_path, sinks=1, settings=settings) as world, mx(world, "127.0.1.2", "paused.test") as sink:
        world.add_domain("others.test")
        slow = Rule(phase="dot", wait=0.05)
        sink.rules.append(slow)
        await send_with(world, SPRING, "a@paused.test", mails=MAILS, sessions=4)
        await sink.wait_for(5, 30)
        order = await run(world, "pause", "--campaign", "spring", "--reason", "wrong price")
        print(order)
        assert (order["workers"], order["missing"], order["done"]) == (2, [], True)
        out = len(sink.received)
        assert 5 <= out < MAILS
        await send_with(world, SPRING, "late@paused.test")
        await until(lambda: all_held(world, MAILS + 1 - out))
        assert {entry["order"] for entry in (await queue(world)).values()} == {order["order"]}
        why = (await run(world, "explain", "paused.test"))["reasons"]
        assert isinstance(why, list)
        # beside it a limit in use may be named, while transfers end
        assert ("order", True) in [(reason["kind"], str(order["order"]) in reason["text"]) for reason in why]

        assert await world.down() == 0
        await world.up()
        await send(world, "b@others.test")
        await world.sinks[0].wait_for(1, 30)
        [known] = await controls(world)
        print(known)
        assert (known["match"], known["reason"], known["moved"]) == (
            {"campaign": "spring"}, "wrong price", MAILS + 1 - out,
        )  # fmt: skip
        # longer than mail may wait: time paused does not count
        rows = await query(world, f"SELECT max(time) + 4 AS expired FROM events WHERE type = 'accepted' AND {OURS}")
        await until(lambda: is_past(world, rows[0]["expired"]))
        assert len(sink.received) == out

        sink.rules.remove(slow)
        resumed = await run(world, "resume", "--campaign", "spring")
        assert resumed["resumed"] == MAILS + 1 - out
        await sink.wait_for(MAILS + 1, 30)
        copies = Counter(mail.message_id for mail in sink.received)
        assert set(copies.values()) == {1}
        assert await controls(world) == []
        await until(lambda: nothing_queued(world))
        counted = await query(world, f"SELECT type, reason, count() AS n FROM events WHERE {OURS} GROUP BY ALL")
        kinds = {(row["type"], row["reason"]): row["n"] for row in counted}
        assert kinds[("deferred", "paused")] == kinds[("resumed", "resumed")] == MAILS + 1 - out
        assert "expired" not in {type_ for type_, _ in kinds}
        told = await query(world, "SELECT reason, count, text FROM events WHERE type = 'admin' ORDER BY time")
        assert [row["reason"] for row in told] == ["given", "pause", "resume"]
        assert told[-1]["count"] == MAILS + 1 - out
        assert "wrong price" in told[0]["text"]
        assert await query(world, f"SELECT max(attempt) AS n FROM events WHERE {OURS}") == [{"n": 1}]


async def run(world: World, *arguments: str) -> dict[str, object]:
    done = await postjet(*arguments, "--json", config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, object] = json.loads(done.stdout)
    return found


async def controls(world: World) -> list[dict[str, object]]:
    done = await postjet("controls", "--json", config=world.config_file)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


async def all_held(world: World, number: int) -> bool:
    return [entry["queue_name"] for entry in (await queue(world)).values()] == ["hold"] * number


async def nothing_queued(world: World) -> bool:
    return not await queue(world)


async def is_past(world: World, when: object) -> bool:
    return bool((await query(world, "SELECT now64(3) > {when:DateTime64(3)} AS past", when=when))[0]["past"])
