"""With hashed recipients no address of one is in the database, and who asks for an address still finds its events."""

import json
from pathlib import Path

from scenario_support import broker, mx, postjet, query, send, story, types
from support import until

from common.broker import Message
from common.event import Type, pack_columns
from master.demo.sink_script import Rule
from master.demo.world import World

ANN = "Ann.Lee@hashed.test"


async def test_hashed(tmp_path: Path) -> None:
    async with World(tmp_path, sinks=1, settings={"events": {"recipients": "hashed"}}) as world:
        async with mx(world, "127.0.1.1", "hashed.test") as sink:
            sink.rules.append(Rule(phase="rcpt", recipient=ANN, reply=f"550 5.1.1 <{ANN.lower()}>: No Ann.Lee here"))
            [submission] = await send(world, ANN, "bob@hashed.test")
            await story(world, submission, "delivered")
            rows = await story(world, submission, "bounced")
        async with broker(world) as connection:  # and what cannot be recorded
            columns = {"time": [1.0], "type": [Type.HELD], "id": ["x"], "recipient": [ANN], "code": [70_000]}
            await connection.put(Message("e.default", pack_columns(1, columns)))
        await until(lambda: query(world, "SELECT 1 FROM events_set_aside"))
        kept = await query(world, "SELECT * FROM events") + await query(world, "SELECT * FROM events_set_aside")
        assert "ann.lee" not in str(kept).lower()
        assert "bob@" not in str(kept)
        assert "hashed.test" in {row["domain"] for row in rows}
        bounced = next(row for row in rows if row["type"] == "bounced")
        assert bounced["text"] == f"<{bounced['recipient']}>: No {bounced['recipient']} here"
        done = await postjet("trace", f"<{ANN}>", config=world.config_file)
        assert f"{submission}  from <news@sender.test>" in done.stdout
        asked = ("--where", f"recipient={ANN}", "--where", "type=bounced")
        done = await postjet("events", "--json", *asked, config=world.config_file)
        assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [bounced["id"]]
        done = await postjet("events", "erase", ANN, "--yes", config=world.config_file)
        assert done.stdout.startswith("erased: 3 events, 1 rows set aside\n")
        assert types(await story(world, submission, "bounced")) == types(rows)
        done = await postjet("trace", ANN, config=world.config_file)
        assert done.returncode == 66
